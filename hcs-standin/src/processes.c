#include "processes.h"

#include <stdlib.h>
#include <string.h>

#include "handles.h"
#include "launch.h"
#include "state.h"

Process *process_new(System *system)
{
    Process *process = memory(sizeof *process);
    process->references = 1;
    process->system = system;
    state_lock();
    system_keep(system);
    process->next = system->processes;
    system->processes = process;
    state_unlock();
    return process;
}

Process *process_find(System *system, DWORD id)
{
    state_lock();
    Process *process = system->processes;
    while (process && process->id != id)
        process = process->next;
    if (process)
        process->references++;
    state_unlock();
    return process;
}

void process_keep(Process *process)
{
    process->references++;
}

static void unlist(Process *process)
{
    Process **link = &process->system->processes;
    while (*link != process)
        link = &(*link)->next;
    *link = process->next;
}

static void close_ends(ProcessInformation *info)
{
    if (info->input)
        CloseHandle(info->input);
    if (info->output)
        CloseHandle(info->output);
    if (info->error)
        CloseHandle(info->error);
    info->input = info->output = info->error = NULL;
}

void process_drop(Process *process)
{
    state_lock();
    bool last = --process->references == 0;
    if (last)
        unlist(process);
    state_unlock();
    if (!last)
        return;
    close_ends(&process->info);
    if (process->handle)
        CloseHandle(process->handle);
    system_drop(process->system);
    free(process);
}

static void add_status(const Process *process, Text *text)
{
    text_addf(text, "{\"ProcessId\":%lu,\"Exited\":%s,\"ExitCode\":%lu,\"LastWaitResult\":0}",
              process->id, process->exited ? "true" : "false", process->exit_code);
}

/* Waits for the process, then tells its end. Owns a reference. */
static DWORD WINAPI watch(void *argument)
{
    Process *process = argument;
    DWORD code = 0;
    WaitForSingleObject(process->handle, INFINITE);
    GetExitCodeProcess(process->handle, &code);
    state_lock();
    HANDLE console = process->console;
    process->console = NULL; /* nobody resizes what is being closed */
    state_unlock();
    if (console)
        console_close(console); /* the output pipe ends with it */
    Text status = {0};
    state_lock();
    process->exited = true;
    process->exit_code = code;
    add_status(process, &status);
    event_to_object(process, EVENT_PROCESS_EXITED, S_OK, status.data);
    state_changed();
    state_unlock();
    free(status.data);
    process_drop(process);
    return 0;
}

static HRESULT may_start(System *system)
{
    state_lock();
    HRESULT result = system->foreign                   ? E_ACCESSDENIED
                     : system->state == SYSTEM_STOPPED ? HCS_SYSTEM_STOPPED
                     : system->state == SYSTEM_RUNNING ? S_OK
                                                       : HCS_INVALID_STATE;
    state_unlock();
    return result;
}

HRESULT process_start(Process *process, const Json *parameters)
{
    Launched launched;
    HRESULT result = may_start(process->system);
    if (result != S_OK)
        return result;
    const char *host = json_string(process->system->document, "Container.GuestOs.HostName", NULL);
    result = launch(process->system->job, host, parameters, &launched);
    if (result != S_OK)
        return result;
    state_lock();
    process->id = launched.info.process_id;
    process->handle = launched.process;
    process->console = launched.console;
    process->info = launched.info;
    process->started = true;
    process->references++;
    if (process->system->state == SYSTEM_STOPPED) /* it stopped meanwhile, and missed this one */
        TerminateProcess(process->handle, EXIT_TERMINATED);
    state_unlock();
    run_apart(watch, process);
    return S_OK;
}

HRESULT process_take_information(Process *process, ProcessInformation *info)
{
    state_lock();
    HRESULT result = process->started ? S_OK : HCS_NO_PROCESS_INFO;
    *info = process->info;
    process->info.input = process->info.output = process->info.error = NULL;
    state_unlock();
    return result;
}

HRESULT process_end(Process *process, DWORD code)
{
    state_lock();
    HRESULT result = !process->started  ? HCS_INVALID_STATE
                     : process->exited ? HCS_PROCESS_STOPPED
                                       : S_OK;
    if (result == S_OK)
        TerminateProcess(process->handle, code);
    state_unlock();
    return result;
}

HRESULT process_signal(Process *process, const Json *options)
{
    static const struct {
        const char *name;
        DWORD code;
    } signals[] = {
        {"CtrlC", EXIT_CONTROL_C},   {"CtrlBreak", EXIT_CONTROL_C},  {"CtrlClose", EXIT_SHUTDOWN},
        {"CtrlLogOff", EXIT_SHUTDOWN}, {"CtrlShutdown", EXIT_SHUTDOWN},
    };
    const char *name = json_string(options, "Signal", NULL);
    double number = json_number(options, "Signal", 0);
    for (size_t i = 0; name && i < ARRAYSIZE(signals); i++)
        if (strcmp(signals[i].name, name) == 0)
            return process_end(process, signals[i].code);
    if (!name && number >= 1 && number <= 31) /* Linux guests have signals with numbers */
        return process_end(process, 128 + (DWORD)number);
    return E_INVALIDARG;
}

static HRESULT resize(Process *process, const Json *size)
{
    double width = json_number(size, "Width", 0), height = json_number(size, "Height", 0);
    if (width < 0 || width > 0x7FFF || height < 0 || height > 0x7FFF)
        return E_INVALIDARG;
    state_lock();
    HRESULT result = process->console ? S_OK : HCS_INVALID_STATE;
    if (result == S_OK) /* Wine can't, but the shim has done its part */
        console_resize(process->console, (SHORT)width, (SHORT)height);
    state_unlock();
    return result;
}

static HRESULT close_standard_handle(Process *process, const char *which)
{
    state_lock();
    HANDLE *end = _stricmp(which, "StdIn") == 0    ? &process->info.input
                  : _stricmp(which, "StdOut") == 0 ? &process->info.output
                  : _stricmp(which, "StdErr") == 0 ? &process->info.error
                                                   : NULL;
    if (end && *end) {
        CloseHandle(*end); /* nobody has taken it; else it is the caller's to close */
        *end = NULL;
    }
    state_unlock();
    return end ? S_OK : E_INVALIDARG;
}

HRESULT process_modify(Process *process, const Json *settings)
{
    const char *operation = json_string(settings, "Operation", "");
    state_lock();
    bool exited = process->exited;
    state_unlock();
    if (exited)
        return HCS_PROCESS_STOPPED;
    if (strcmp(operation, "ConsoleSize") == 0)
        return resize(process, json_at(settings, "ConsoleSize"));
    if (strcmp(operation, "CloseHandle") == 0)
        return close_standard_handle(process, json_string(settings, "CloseHandle.Handle", ""));
    return HCS_INVALID_JSON;
}

void process_wait(Process *process)
{
    state_lock();
    while (process->started && !process->exited)
        state_wait(NEVER);
    state_unlock();
}

void process_status(Process *process, Text *answer)
{
    state_lock();
    add_status(process, answer);
    state_unlock();
}

bool processes_living(const System *system)
{
    for (const Process *process = system->processes; process; process = process->next)
        if (process->started && !process->exited)
            return true;
    return false;
}
