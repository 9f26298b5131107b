/* The one lock over all objects of the stand-in, and the one condition: "something changed".
 *
 * Everything in System, Process, Operation and Handle is read and written under the lock unless its
 * declaration says otherwise. Callbacks, process creation and waiting on kernel objects happen
 * outside it. */

#ifndef STANDIN_STATE_H
#define STANDIN_STATE_H

#include <stdbool.h>

#include <windows.h>

void state_lock(void);
void state_unlock(void);

/* Wakes everybody in state_wait; call it under the lock after a change that others wait for. */
void state_changed(void);

/* Gives up the lock until something changed or until the tick count `deadline` (NEVER: without);
 * false if the deadline has passed. */
bool state_wait(ULONGLONG deadline);

#define NEVER 0xFFFFFFFFFFFFFFFFull

/* The deadline that is so many milliseconds away; INFINITE gives NEVER. */
ULONGLONG deadline_in(DWORD milliseconds);

/* Runs a function on a thread of its own that nobody waits for. */
void run_apart(DWORD (WINAPI *function)(void *), void *argument);

/* An answer's result as computecore says it (0x8037....) in vmcompute's spelling (0xC037....). */
HRESULT as_legacy(HRESULT result);

/* HCS's own results, as computecore spells them. */
#define HCS_UNEXPECTED_EXIT ((HRESULT)0x80370106)
#define HCS_INVALID_STATE ((HRESULT)0x80370105)
#define HCS_INVALID_JSON ((HRESULT)0x8037010D)
#define HCS_SYSTEM_NOT_FOUND ((HRESULT)0x8037010E)
#define HCS_SYSTEM_EXISTS ((HRESULT)0x8037010F)
#define HCS_SYSTEM_STOPPED ((HRESULT)0x80370110)
#define HCS_NOT_STARTED ((HRESULT)0x80370115)
#define HCS_ALREADY_STARTED ((HRESULT)0x80370116)
#define HCS_OPERATION_PENDING ((HRESULT)0x80370117)
#define HCS_TIMEOUT ((HRESULT)0x80370118)
#define HCS_CALLBACK_SET ((HRESULT)0x80370119)
#define HCS_NO_PROCESS_INFO ((HRESULT)0x8037011D)
#define HCS_SERVICE_DISCONNECT ((HRESULT)0x8037011E)
#define HCS_PROCESS_STOPPED ((HRESULT)0x8037011F)
#define HCS_CANCELLED ((HRESULT)0x80370121)
#define HCS_PENDING_LEGACY ((HRESULT)0xC0370103)

#endif
