/* Several threads and processes append to one file, one at a time: Wine looks for the file's end
 * before it writes there, and two that do so at once would overwrite each other. */

#include "trace.h"

#include <stdlib.h>

#include <windows.h>

unsigned trace_begin(Text *line, const char *what)
{
    static volatile LONG last;
    unsigned number = (unsigned)InterlockedIncrement(&last);
    text_addf(line, "{\"number\":%u,\"what\":\"%s\",\"ms\":%llu,\"pid\":%lu,\"thread\":%lu", number,
              what, (unsigned long long)GetTickCount64(), GetCurrentProcessId(),
              GetCurrentThreadId());
    return number;
}

void trace_string(Text *line, const char *name, const char *value)
{
    if (!value)
        return;
    text_addf(line, ",\"%s\":", name);
    text_add_quoted(line, value);
}

void trace_result(Text *line, long result)
{
    text_addf(line, ",\"result\":\"0x%08lX\"", (unsigned long)result);
}

static HANDLE enter(void)
{
    HANDLE mutex = CreateMutexW(NULL, FALSE, L"hcs-standin-trace");
    if (mutex)
        WaitForSingleObject(mutex, INFINITE); /* abandoned by one that was killed: ours as well */
    return mutex;
}

static void leave(HANDLE mutex)
{
    if (!mutex)
        return;
    ReleaseMutex(mutex);
    CloseHandle(mutex);
}

void trace_end(Text *line)
{
    wchar_t path[1024];
    DWORD length = GetEnvironmentVariableW(L"HCS_STANDIN_TRACE", path, ARRAYSIZE(path));
    text_add(line, "}\n");
    if (length > 0 && length < ARRAYSIZE(path)) {
        HANDLE mutex = enter();
        HANDLE file = CreateFileW(path, FILE_APPEND_DATA,
                                  FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
                                  OPEN_ALWAYS, FILE_ATTRIBUTE_NORMAL, NULL);
        if (file != INVALID_HANDLE_VALUE) {
            DWORD written;
            WriteFile(file, line->data, (DWORD)line->length, &written, NULL);
            CloseHandle(file);
        }
        leave(mutex);
    }
    free(line->data);
}
