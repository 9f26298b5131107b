#include "properties.h"

#include <stdlib.h>
#include <string.h>

#include <psapi.h>

#include "guids.h"
#include "state.h"

enum { MOST_PROCESSES = 1024 };

typedef struct {
    ULONGLONG user, kernel;                /* 100 ns */
    ULONGLONG commit, private_set, shared; /* bytes */
    ULONGLONG reads, read_bytes, writes, written_bytes;
} Usage;

static ULONGLONG ticks_of(FILETIME time)
{
    return (ULONGLONG)time.dwHighDateTime << 32 | time.dwLowDateTime;
}

static void add_time(Text *text, const char *name, FILETIME time)
{
    SYSTEMTIME parts;
    FileTimeToSystemTime(&time, &parts);
    text_addf(text, "\"%s\":\"%04u-%02u-%02uT%02u:%02u:%02u.%07lluZ\"", name, parts.wYear,
              parts.wMonth, parts.wDay, parts.wHour, parts.wMinute, parts.wSecond,
              ticks_of(time) % 10000000);
}

static Usage usage_of(HANDLE process)
{
    Usage usage = {0};
    FILETIME created, exited, kernel, user;
    PROCESS_MEMORY_COUNTERS counters = {.cb = sizeof counters};
    IO_COUNTERS io = {0};
    if (GetProcessTimes(process, &created, &exited, &kernel, &user)) {
        usage.user = ticks_of(user);
        usage.kernel = ticks_of(kernel);
    }
    if (GetProcessMemoryInfo(process, &counters, sizeof counters)) {
        usage.commit = counters.PagefileUsage; /* Wine leaves PrivateUsage at 0 */
        usage.private_set = counters.WorkingSetSize < counters.PagefileUsage
                                ? counters.WorkingSetSize
                                : counters.PagefileUsage;
        usage.shared = counters.WorkingSetSize - usage.private_set;
    }
    if (GetProcessIoCounters(process, &io)) {
        usage.reads = io.ReadOperationCount;
        usage.read_bytes = io.ReadTransferCount;
        usage.writes = io.WriteOperationCount;
        usage.written_bytes = io.WriteTransferCount;
    }
    return usage;
}

/* Calls `visit` with each process of the system that lives; of another process's, none is known. */
static void visit_processes(System *system, void (*visit)(HANDLE, DWORD, void *), void *context)
{
    size_t size = sizeof(JOBOBJECT_BASIC_PROCESS_ID_LIST) + MOST_PROCESSES * sizeof(ULONG_PTR);
    JOBOBJECT_BASIC_PROCESS_ID_LIST *list = memory(size);
    if (system->job &&
        QueryInformationJobObject(system->job, JobObjectBasicProcessIdList, list, (DWORD)size,
                                  NULL)) {
        for (DWORD i = 0; i < list->NumberOfProcessIdsInList; i++) {
            DWORD id = (DWORD)list->ProcessIdList[i];
            HANDLE process =
                OpenProcess(PROCESS_QUERY_INFORMATION | PROCESS_VM_READ | SYNCHRONIZE, FALSE, id);
            if (!process)
                continue;
            if (WaitForSingleObject(process, 0) == WAIT_TIMEOUT)
                visit(process, id, context);
            CloseHandle(process);
        }
    }
    free(list);
}

static void add_to_total(HANDLE process, DWORD id, void *context)
{
    (void)id;
    Usage *total = context, usage = usage_of(process);
    total->commit += usage.commit;
    total->private_set += usage.private_set;
    total->reads += usage.reads;
    total->read_bytes += usage.read_bytes;
    total->writes += usage.writes;
    total->written_bytes += usage.written_bytes;
}

static void add_statistics(System *system, Text *answer)
{
    Usage total = {0};
    JOBOBJECT_BASIC_ACCOUNTING_INFORMATION account = {0};
    FILETIME now;
    visit_processes(system, add_to_total, &total);
    if (system->job &&
        QueryInformationJobObject(system->job, JobObjectBasicAccountingInformation, &account,
                                  sizeof account, NULL)) {
        total.user = (ULONGLONG)account.TotalUserTime.QuadPart;
        total.kernel = (ULONGLONG)account.TotalKernelTime.QuadPart;
    }
    GetSystemTimeAsFileTime(&now);
    state_lock();
    FILETIME started = ticks_of(system->started) ? system->started : system->created;
    if (total.commit > system->peak_commit)
        system->peak_commit = total.commit;
    ULONGLONG peak = system->peak_commit;
    state_unlock();
    text_add(answer, ",\"Statistics\":{");
    add_time(answer, "Timestamp", now);
    text_add(answer, ",");
    add_time(answer, "ContainerStartTime", started);
    text_addf(answer,
              ",\"Uptime100ns\":%llu,\"Processor\":{\"TotalRuntime100ns\":%llu,"
              "\"RuntimeUser100ns\":%llu,\"RuntimeKernel100ns\":%llu},"
              "\"Memory\":{\"MemoryUsageCommitBytes\":%llu,\"MemoryUsageCommitPeakBytes\":%llu,"
              "\"MemoryUsagePrivateWorkingSetBytes\":%llu},"
              "\"Storage\":{\"ReadCountNormalized\":%llu,\"ReadSizeBytes\":%llu,"
              "\"WriteCountNormalized\":%llu,\"WriteSizeBytes\":%llu}}",
              ticks_of(now) - ticks_of(started), total.user + total.kernel, total.user,
              total.kernel, total.commit, peak, total.private_set, total.reads, total.read_bytes,
              total.writes, total.written_bytes);
}

static void add_process(HANDLE process, DWORD id, void *context)
{
    Text *answer = context;
    Usage usage = usage_of(process);
    FILETIME created = {0}, now, ignored;
    wchar_t path[MAX_PATH] = L"";
    DWORD length = ARRAYSIZE(path);
    GetProcessTimes(process, &created, &ignored, &ignored, &ignored);
    GetSystemTimeAsFileTime(&now);
    /* Of a process that it is still making, Wine has no name, or a time of creation to come. */
    if (!QueryFullProcessImageNameW(process, 0, path, &length) || !length ||
        ticks_of(created) > ticks_of(now))
        return;
    const wchar_t *last = wcsrchr(path, L'\\');
    char *name = utf8_from(last ? last + 1 : path);
    text_add(answer, answer->data[answer->length - 1] == '[' ? "{" : ",{");
    add_time(answer, "CreateTimestamp", created);
    text_add(answer, ",\"ImageName\":");
    text_add_quoted(answer, name);
    text_addf(answer,
              ",\"KernelTime100ns\":%llu,\"MemoryCommitBytes\":%llu,"
              "\"MemoryWorkingSetPrivateBytes\":%llu,\"MemoryWorkingSetSharedBytes\":%llu,"
              "\"ProcessId\":%lu,\"UserTime100ns\":%llu}",
              usage.kernel, usage.commit, usage.private_set, usage.shared, id, usage.user);
    free(name);
}

/* Adds the members that every query gets, without the closing brace. */
static void add_plain(System *system, Text *answer)
{
    text_add(answer, "{\"Id\":");
    text_add_quoted(answer, system->id);
    text_addf(answer, ",\"SystemType\":\"%s\"", system_type(system));
    const char *owner = json_string(system->document, "Owner", NULL);
    if (owner) {
        text_add(answer, ",\"Owner\":");
        text_add_quoted(answer, owner);
    }
    bool linux_guest = json_at(system->document, "VirtualMachine.Chipset.LinuxKernelDirect");
    text_addf(answer, ",\"RuntimeOsType\":\"%s\",\"State\":\"%s\"",
              linux_guest ? "Linux" : "Windows", system_state_name(system));
    if (json_at(system->document, "VirtualMachine")) {
        GUID runtime = guid_from_name(system->id); /* what hv-sockets know the machine by */
        text_addf(answer, ",\"RuntimeId\":\"%s\"", guid_text(&runtime).text);
    }
    if (system->state == SYSTEM_STOPPED)
        text_addf(answer, ",\"Stopped\":true,\"ExitType\":\"%s\"", system->exit_type);
}

static void add_virtual_memory(System *system, Text *answer)
{
    double size = json_number(system->document,
                              "VirtualMachine.ComputeTopology.Memory.SizeInMB", 1024);
    text_addf(answer,
              ",\"Memory\":{\"VirtualNodeCount\":1,\"VirtualMachineMemory\":{"
              "\"AvailableMemory\":%.0f,\"AvailableMemoryBuffer\":0,\"ReservedMemory\":0,"
              "\"AssignedMemory\":%.0f,\"SlpActive\":false,\"BalancingEnabled\":false,"
              "\"DmOperationInProgress\":false}}",
              size * 256, size * 256); /* pages of 4 KiB */
}

void properties_of_system(System *system, const Json *query, Text *answer)
{
    const Json *types = json_at(query, "PropertyTypes");
    state_lock();
    add_plain(system, answer);
    state_unlock();
    if (json_lists(types, "Statistics"))
        add_statistics(system, answer);
    if (json_lists(types, "ProcessList")) {
        text_add(answer, ",\"ProcessList\":[");
        visit_processes(system, add_process, answer);
        text_add(answer, "]");
    }
    if (json_lists(types, "TerminateOnLastHandleClosed"))
        text_addf(answer, ",\"TerminateOnLastHandleClosed\":%s",
                  system->dies_with_handle ? "true" : "false");
    if (json_lists(types, "Memory") && json_at(system->document, "VirtualMachine"))
        add_virtual_memory(system, answer);
    text_add(answer, "}");
}

typedef struct {
    const Json *query;
    Text *answer;
} Enumeration;

static bool wanted(const Json *query, const char *list, const char *value)
{
    const Json *values = json_at(query, list);
    return !values || !values->first || (value && json_lists(values, value));
}

static void enumerate_one(System *system, void *context)
{
    Enumeration *enumeration = context;
    const Json *query = enumeration->query;
    if (!wanted(query, "Ids", system->id) || !wanted(query, "Types", system_type(system)) ||
        !wanted(query, "Owners", json_string(system->document, "Owner", NULL)))
        return;
    if (enumeration->answer->length > 1)
        text_add(enumeration->answer, ",");
    add_plain(system, enumeration->answer);
    text_add(enumeration->answer, "}");
}

void properties_enumerate(const Json *query, Text *answer)
{
    Enumeration enumeration = {query, answer};
    text_add(answer, "[");
    systems_visit(enumerate_one, &enumeration);
    text_add(answer, "]");
}
