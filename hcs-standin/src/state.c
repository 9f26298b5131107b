#include "state.h"

#include <stdlib.h>

static SRWLOCK lock = SRWLOCK_INIT;
static CONDITION_VARIABLE change = CONDITION_VARIABLE_INIT;

void state_lock(void)
{
    AcquireSRWLockExclusive(&lock);
}

void state_unlock(void)
{
    ReleaseSRWLockExclusive(&lock);
}

void state_changed(void)
{
    WakeAllConditionVariable(&change);
}

bool state_wait(ULONGLONG deadline)
{
    ULONGLONG now = GetTickCount64();
    if (deadline != NEVER && now >= deadline)
        return false;
    ULONGLONG left = deadline - now;
    DWORD wait = deadline == NEVER ? INFINITE : left >= INFINITE ? INFINITE - 1 : (DWORD)left;
    SleepConditionVariableSRW(&change, &lock, wait, 0);
    return true;
}

ULONGLONG deadline_in(DWORD milliseconds)
{
    return milliseconds == INFINITE ? NEVER : GetTickCount64() + milliseconds;
}

void run_apart(DWORD (WINAPI *function)(void *), void *argument)
{
    /* From now on threads run in this DLL: it must stay, whatever its users do. */
    HMODULE self;
    GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_PIN | GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS,
                       (LPCWSTR)(void *)&change, &self);
    HANDLE thread = CreateThread(NULL, 0, function, argument, 0, NULL);
    if (!thread)
        abort();
    CloseHandle(thread);
}

HRESULT as_legacy(HRESULT result)
{
    ULONG code = (ULONG)result;
    return (code & 0xFFFF0000) == 0x80370000 ? (HRESULT)(code | 0x40000000) : result;
}
