/* The caller's ends of pipes can do overlapped I/O, as HCS's can; those of the process can't, as
 * programs expect. Anonymous pipes would not do: neither end of them is overlapped. */

#include "launch.h"

#include <stdlib.h>
#include <string.h>

#include "state.h"

enum { PIPE_BUFFER = 65536 };

typedef HRESULT(WINAPI *CreateConsole)(COORD, HANDLE, HANDLE, DWORD, HANDLE *);
typedef HRESULT(WINAPI *ResizeConsole)(HANDLE, COORD);
typedef void(WINAPI *CloseConsole)(HANDLE);

typedef struct {
    HANDLE input, output, error; /* the process's ends */
} Ends;

static FARPROC kernel_function(const char *name)
{
    return GetProcAddress(GetModuleHandleW(L"kernel32.dll"), name);
}

void console_close(HANDLE console)
{
    CloseConsole close = (CloseConsole)(void *)kernel_function("ClosePseudoConsole");
    if (close)
        close(console);
}

HRESULT console_resize(HANDLE console, SHORT width, SHORT height)
{
    ResizeConsole resize = (ResizeConsole)(void *)kernel_function("ResizePseudoConsole");
    COORD size = {width, height};
    return resize ? resize(console, size) : E_NOTIMPL;
}

static void close_if(HANDLE *handle)
{
    if (*handle)
        CloseHandle(*handle);
    *handle = NULL;
}

HRESULT last_error(void)
{
    DWORD error = GetLastError();
    return error ? HRESULT_FROM_WIN32(error) : E_FAIL;
}

/* A pipe of which the caller's end is `caller` and the process's `ours`.
 *
 * to_process: whether data flows to the process. */
static HRESULT make_pipe(bool to_process, HANDLE *caller, HANDLE *ours)
{
    static volatile LONG count;
    wchar_t name[96];
    _snwprintf(name, ARRAYSIZE(name), L"\\\\.\\pipe\\hcs-standin-%lu-%ld", GetCurrentProcessId(),
               InterlockedIncrement(&count));
    SECURITY_ATTRIBUTES inherited = {sizeof inherited, NULL, TRUE};
    DWORD direction = to_process ? PIPE_ACCESS_OUTBOUND : PIPE_ACCESS_INBOUND;
    HANDLE server = CreateNamedPipeW(
        name, direction | FILE_FLAG_OVERLAPPED | FILE_FLAG_FIRST_PIPE_INSTANCE,
        PIPE_TYPE_BYTE | PIPE_READMODE_BYTE | PIPE_WAIT | PIPE_REJECT_REMOTE_CLIENTS, 1,
        PIPE_BUFFER, PIPE_BUFFER, 0, NULL);
    if (server == INVALID_HANDLE_VALUE)
        return last_error();
    HANDLE client = CreateFileW(name, to_process ? GENERIC_READ : GENERIC_WRITE, 0, &inherited,
                                OPEN_EXISTING, 0, NULL);
    if (client == INVALID_HANDLE_VALUE) {
        HRESULT result = last_error();
        CloseHandle(server);
        return result;
    }
    *caller = server;
    *ours = client;
    return S_OK;
}

static HRESULT make_pipes(const Json *parameters, bool console, ProcessInformation *info,
                          Ends *ends)
{
    HRESULT result = S_OK;
    if (json_true(parameters, "CreateStdInPipe"))
        result = make_pipe(true, &info->input, &ends->input);
    if (result == S_OK && json_true(parameters, "CreateStdOutPipe"))
        result = make_pipe(false, &info->output, &ends->output);
    if (result == S_OK && json_true(parameters, "CreateStdErrPipe") && !console)
        result = make_pipe(false, &info->error, &ends->error);
    return result;
}

/* A pseudo console wants both its ends; what the caller has not asked for leads nowhere. */
static HRESULT make_console(const Json *parameters, Ends *ends, HANDLE *console)
{
    CreateConsole create = (CreateConsole)(void *)kernel_function("CreatePseudoConsole");
    const Json *size = json_at(parameters, "ConsoleSize");
    COORD area = {80, 25};
    if (size && size->kind == JSON_ARRAY && size->first && size->first->next) {
        area.Y = (SHORT)size->first->number;
        area.X = (SHORT)size->first->next->number;
    }
    if (!create)
        return E_NOTIMPL;
    if (!ends->input)
        ends->input = CreateFileW(L"NUL", GENERIC_READ, 0, NULL, OPEN_EXISTING, 0, NULL);
    if (!ends->output)
        ends->output = CreateFileW(L"NUL", GENERIC_WRITE, 0, NULL, OPEN_EXISTING, 0, NULL);
    return create(area, ends->input, ends->output, 0, console);
}

static int compare_variables(const void *left, const void *right)
{
    return _wcsicmp(*(wchar_t *const *)left, *(wchar_t *const *)right);
}

/* Puts "name=value" into the list, in place of an older value of the same name. */
static void set_variable(wchar_t **list, size_t *count, const char *name, const char *value)
{
    Text text = {0};
    text_addf(&text, "%s=", name);
    wchar_t *start = wide_from(text.data);
    text_add(&text, value);
    wchar_t *variable = wide_from(text.data);
    free(text.data);
    size_t i = 0;
    while (i < *count && _wcsnicmp(list[i], start, wcslen(start)) != 0)
        i++;
    if (i == *count)
        ++*count;
    else
        free(list[i]);
    list[i] = variable;
    free(start);
}

/* A variable of this process, or NULL. The caller frees it. */
static char *own_variable(const char *name)
{
    wchar_t *wide = wide_from(name), value[8192];
    DWORD length = GetEnvironmentVariableW(wide, value, ARRAYSIZE(value));
    free(wide);
    return length > 0 && length < ARRAYSIZE(value) ? utf8_from(value) : NULL;
}

/* A container's environment: what every Windows has, and what the document adds. */
static wchar_t *make_environment(const char *host, const Json *parameters)
{
    static const char *const common[] = {"SystemRoot", "SystemDrive", "windir",  "ComSpec",
                                         "PATH",       "PATHEXT",     "TEMP",    "TMP",
                                         "OS",         "ProgramData", "WINEPATH"};
    const Json *wanted = json_at(parameters, "Environment");
    size_t most = ARRAYSIZE(common) + 2, count = 0;
    for (const Json *item = wanted ? wanted->first : NULL; item; item = item->next)
        most++;
    wchar_t **list = memory(most * sizeof *list);
    for (size_t i = 0; i < ARRAYSIZE(common); i++) {
        char *value = own_variable(common[i]);
        if (value)
            set_variable(list, &count, common[i], value);
        free(value);
    }
    set_variable(list, &count, "USERNAME", json_string(parameters, "User", "ContainerUser"));
    if (host)
        set_variable(list, &count, "COMPUTERNAME", host);
    for (const Json *item = wanted ? wanted->first : NULL; item; item = item->next)
        if (item->name && item->kind == JSON_STRING)
            set_variable(list, &count, item->name, item->string);
    qsort(list, count, sizeof *list, compare_variables);
    size_t length = 1, at = 0;
    for (size_t i = 0; i < count; i++)
        length += wcslen(list[i]) + 1;
    wchar_t *block = memory((length + 1) * sizeof *block);
    for (size_t i = 0; i < count; i++) {
        wcscpy(block + at, list[i]);
        at += wcslen(list[i]) + 1;
        free(list[i]);
    }
    free(list);
    return block;
}

/* The attributes: which handles to inherit, which job to be born into, which console to have. */
static LPPROC_THREAD_ATTRIBUTE_LIST make_attributes(HANDLE *handles, DWORD count, HANDLE *job,
                                                    HANDLE console)
{
    SIZE_T size = 0;
    InitializeProcThreadAttributeList(NULL, 3, 0, &size);
    LPPROC_THREAD_ATTRIBUTE_LIST list = memory(size);
    InitializeProcThreadAttributeList(list, 3, 0, &size);
    UpdateProcThreadAttribute(list, 0, PROC_THREAD_ATTRIBUTE_JOB_LIST, job, sizeof *job, NULL,
                              NULL);
    if (console)
        UpdateProcThreadAttribute(list, 0, PROC_THREAD_ATTRIBUTE_PSEUDOCONSOLE, console,
                                  sizeof console, NULL, NULL);
    else if (count)
        UpdateProcThreadAttribute(list, 0, PROC_THREAD_ATTRIBUTE_HANDLE_LIST, handles,
                                  count * sizeof *handles, NULL, NULL);
    return list;
}

static HRESULT create(HANDLE job, const char *host, const Json *parameters, const Ends *ends,
                      Launched *launched)
{
    STARTUPINFOEXW startup = {0};
    PROCESS_INFORMATION made = {0};
    HANDLE handles[3];
    DWORD count = 0;
    const HANDLE each[] = {ends->input, ends->output, ends->error};
    for (size_t i = 0; i < ARRAYSIZE(each); i++)
        if (each[i])
            handles[count++] = each[i];
    startup.StartupInfo.cb = sizeof startup;
    if (!launched->console) {
        startup.StartupInfo.dwFlags = STARTF_USESTDHANDLES;
        startup.StartupInfo.hStdInput = ends->input;
        startup.StartupInfo.hStdOutput = ends->output;
        startup.StartupInfo.hStdError = ends->error;
    }
    startup.lpAttributeList = make_attributes(handles, count, &job, launched->console);
    wchar_t *command = wide_from(json_string(parameters, "CommandLine", ""));
    wchar_t *folder = wide_from(json_string(parameters, "WorkingDirectory", NULL));
    wchar_t *environment = make_environment(host, parameters);
    DWORD flags = CREATE_UNICODE_ENVIRONMENT | EXTENDED_STARTUPINFO_PRESENT |
                  (launched->console ? 0 : CREATE_NO_WINDOW);
    BOOL done = CreateProcessW(NULL, command, NULL, NULL, !launched->console && count > 0, flags,
                               environment, folder && *folder ? folder : NULL,
                               &startup.StartupInfo, &made);
    HRESULT result = done ? S_OK : last_error();
    if (done) {
        CloseHandle(made.hThread);
        launched->process = made.hProcess;
        launched->info.process_id = made.dwProcessId;
    }
    DeleteProcThreadAttributeList(startup.lpAttributeList);
    free(startup.lpAttributeList);
    free(command);
    free(folder);
    free(environment);
    return result;
}

HRESULT launch(HANDLE job, const char *host, const Json *parameters, Launched *launched)
{
    Ends ends = {0};
    memset(launched, 0, sizeof *launched);
    bool wants_console = json_true(parameters, "EmulateConsole");
    HRESULT result = make_pipes(parameters, wants_console, &launched->info, &ends);
    if (result == S_OK && wants_console)
        result = make_console(parameters, &ends, &launched->console);
    if (result == S_OK)
        result = create(job, host, parameters, &ends, launched);
    close_if(&ends.input);
    close_if(&ends.output);
    close_if(&ends.error);
    if (result != S_OK) {
        close_if(&launched->info.input);
        close_if(&launched->info.output);
        close_if(&launched->info.error);
        if (launched->console)
            console_close(launched->console);
        launched->console = NULL;
    }
    return result;
}
