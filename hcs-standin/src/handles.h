/* Handles: the numbers that callers hold, the objects behind them, and what callers hear.
 *
 * A handle's number names a slot and the slot's use count, so that a closed or invented handle is
 * refused instead of followed. Handles to systems and processes deliver events, in order and one
 * at a time for each handle, on threads that the caller has never seen. What happens before
 * a callback is set waits for it. */

#ifndef STANDIN_HANDLES_H
#define STANDIN_HANDLES_H

#include <stdbool.h>

#include <windows.h>

typedef enum {
    HANDLE_OPERATION,
    HANDLE_SYSTEM,
    HANDLE_PROCESS,
    HANDLE_CALLBACK, /* vmcompute's registration; its object is the handle that it registers on */
    HANDLE_NAMESPACE,
    HANDLE_ENDPOINT,
} HandleKind;

typedef struct Event {
    DWORD type;
    HRESULT result; /* vmcompute's callbacks get it beside the data */
    wchar_t *data;  /* or NULL */
    struct Event *next;
} Event;

typedef struct Handle {
    HandleKind kind;
    bool legacy; /* opened by vmcompute: its callbacks and results are spelt as there */
    bool open;
    int references; /* by the table, by calls in progress, by the thread that delivers */
    void *object;   /* owned: let go when the handle is closed and no longer referenced */
    void *callback; /* or NULL */
    void *context;
    Event *first; /* not yet delivered */
    bool delivering;
    DWORD deliverer; /* the thread that delivers */
} Handle;

/* Lets go of a handle's object; called outside the lock. */
typedef void Release(HandleKind kind, void *object);

/* Makes an open handle that owns one reference to the object; returns its number. Takes the lock. */
HANDLE handle_open(HandleKind kind, bool legacy, void *object, Release *release);

/* The open handle of that number and kind, referenced; NULL if there is none. Takes the lock. */
Handle *handle_take(HANDLE number, HandleKind kind);

/* Lets go of a reference. Takes the lock. */
void handle_drop(Handle *handle);

/* Closes: no callback runs when this returns, unless it is the caller itself. False if there was
 * no such handle. Takes the lock. */
bool handle_close(HANDLE number, HandleKind kind);

/* Sets the callback and starts to deliver what waits. False if one is set. Takes the lock. */
bool handle_subscribe(Handle *handle, void *callback, void *context);

/* Removes the callback; none runs when this returns, as with handle_close. Takes the lock. */
void handle_unsubscribe(Handle *handle);

/* Delivers an event to one handle, or to all open ones on the object. Under the lock.
 *
 * data: UTF-8, or NULL. */
void event_to_handle(Handle *handle, DWORD type, HRESULT result, const char *data);
void event_to_object(const void *object, DWORD type, HRESULT result, const char *data);

/* Delivers an event to every handle that hears events at all. Takes the lock. */
void event_to_everybody(DWORD type, HRESULT result);

/* The number of open handles on the object. Under the lock. */
int handles_on(const void *object);

#define EVENT_SYSTEM_EXITED 1
#define EVENT_PROCESS_EXITED 0x00010000
#define EVENT_SERVICE_DISCONNECT 0x02000000 /* vmcompute: 0x01000000 */

/* Only vmcompute tells the end of these by an event. */
#define EVENT_CREATED 2
#define EVENT_STARTED 3
#define EVENT_PAUSED 4
#define EVENT_RESUMED 5
#define EVENT_SAVED 8
#define EVENT_SHUTDOWN_FAILED 10

#endif
