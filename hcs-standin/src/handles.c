#include "handles.h"

#include <stdint.h>
#include <stdlib.h>

#include "state.h"
#include "text.h"
#include "trace.h"

typedef struct {
    Handle *handle; /* NULL: free */
    unsigned uses;
} Slot;

static Slot *slots;
static size_t slot_count;
static Release *releases[HANDLE_ENDPOINT + 1];

typedef void(CALLBACK *CoreCallback)(void *event, void *context);
typedef void(CALLBACK *LegacyCallback)(DWORD type, void *context, HRESULT status, PCWSTR data);

/* As HCS_EVENT. */
typedef struct {
    DWORD type;
    PCWSTR data;
    HANDLE operation;
} CoreEvent;

static HANDLE number_of(size_t slot)
{
    return (HANDLE)(uintptr_t)((uintptr_t)(slots[slot].uses & 0x7FFF) << 32 | (slot + 1) << 2);
}

static Slot *slot_of(HANDLE number, HandleKind kind)
{
    size_t slot = (((uintptr_t)number & 0xFFFFFFFF) >> 2) - 1;
    if (slot >= slot_count || !slots[slot].handle || number_of(slot) != number)
        return NULL;
    return slots[slot].handle->kind == kind ? &slots[slot] : NULL;
}

HANDLE handle_open(HandleKind kind, bool legacy, void *object, Release *release)
{
    Handle *handle = memory(sizeof *handle);
    handle->kind = kind;
    handle->legacy = legacy;
    handle->open = true;
    handle->references = 1;
    handle->object = object;
    state_lock();
    releases[kind] = release;
    size_t slot = 0;
    while (slot < slot_count && slots[slot].handle)
        slot++;
    if (slot == slot_count) {
        slots = memory_grown(slots, ++slot_count * sizeof *slots);
        slots[slot].uses = 0;
    }
    slots[slot].handle = handle;
    slots[slot].uses++;
    HANDLE number = number_of(slot);
    state_unlock();
    return number;
}

Handle *handle_take(HANDLE number, HandleKind kind)
{
    state_lock();
    Slot *slot = slot_of(number, kind);
    Handle *handle = slot ? slot->handle : NULL;
    if (handle)
        handle->references++;
    state_unlock();
    return handle;
}

static void free_events(Event *event)
{
    while (event) {
        Event *next = event->next;
        free(event->data);
        free(event);
        event = next;
    }
}

void handle_drop(Handle *handle)
{
    state_lock();
    bool last = --handle->references == 0;
    state_unlock();
    if (!last)
        return;
    releases[handle->kind](handle->kind, handle->object);
    free_events(handle->first);
    free(handle);
}

/* Waits until no callback runs on the handle; a callback that asks for it itself does not wait. */
static void drain(Handle *handle)
{
    handle->callback = NULL;
    while (handle->delivering && handle->deliverer != GetCurrentThreadId())
        state_wait(NEVER);
}

bool handle_close(HANDLE number, HandleKind kind)
{
    state_lock();
    Slot *slot = slot_of(number, kind);
    Handle *handle = slot ? slot->handle : NULL;
    if (handle) {
        slot->handle = NULL;
        handle->open = false;
        drain(handle);
    }
    state_unlock();
    if (handle)
        handle_drop(handle);
    return handle;
}

static const char *event_name(DWORD type)
{
    switch (type) {
    case EVENT_SYSTEM_EXITED:
        return "SystemExited";
    case EVENT_CREATED:
        return "SystemCreateCompleted";
    case EVENT_STARTED:
        return "SystemStartCompleted";
    case EVENT_PAUSED:
        return "SystemPauseCompleted";
    case EVENT_RESUMED:
        return "SystemResumeCompleted";
    case EVENT_SAVED:
        return "SystemSaveCompleted";
    case EVENT_SHUTDOWN_FAILED:
        return "SystemShutdownFailed";
    case EVENT_PROCESS_EXITED:
        return "ProcessExited";
    case EVENT_SERVICE_DISCONNECT:
        return "ServiceDisconnect";
    default:
        return "?";
    }
}

static void call_back(const Handle *handle, void *callback, void *context, const Event *event)
{
    Text line = {0};
    char *data = utf8_from(event->data);
    trace_begin(&line, "event");
    trace_string(&line, "name", event_name(event->type));
    trace_result(&line, event->result);
    trace_string(&line, "answer", data);
    trace_end(&line);
    free(data);
    if (handle->legacy) {
        DWORD type = event->type == EVENT_SERVICE_DISCONNECT ? 0x01000000 : event->type;
        ((LegacyCallback)callback)(type, context, as_legacy(event->result), event->data);
    } else {
        CoreEvent told = {event->type, event->data, NULL};
        ((CoreCallback)callback)(&told, context);
    }
}

static DWORD WINAPI deliver(void *argument)
{
    Handle *handle = argument;
    state_lock();
    handle->deliverer = GetCurrentThreadId();
    while (handle->callback && handle->first) {
        Event *event = handle->first;
        void *callback = handle->callback, *context = handle->context;
        handle->first = event->next;
        event->next = NULL;
        state_unlock();
        call_back(handle, callback, context, event);
        free_events(event);
        state_lock();
    }
    handle->delivering = false;
    state_changed();
    state_unlock();
    handle_drop(handle);
    return 0;
}

static void start_delivery(Handle *handle)
{
    if (!handle->callback || !handle->first || handle->delivering)
        return;
    handle->delivering = true;
    handle->deliverer = 0;
    handle->references++;
    run_apart(deliver, handle);
}

bool handle_subscribe(Handle *handle, void *callback, void *context)
{
    state_lock();
    bool was_free = !handle->callback && handle->open;
    if (was_free) {
        handle->callback = callback;
        handle->context = context;
        start_delivery(handle);
    }
    state_unlock();
    return was_free;
}

void handle_unsubscribe(Handle *handle)
{
    state_lock();
    drain(handle);
    state_unlock();
}

void event_to_handle(Handle *handle, DWORD type, HRESULT result, const char *data)
{
    Event *event = memory(sizeof *event), **end = &handle->first;
    event->type = type;
    event->result = result;
    event->data = wide_from(data);
    while (*end)
        end = &(*end)->next;
    *end = event;
    start_delivery(handle);
}

void event_to_object(const void *object, DWORD type, HRESULT result, const char *data)
{
    for (size_t i = 0; i < slot_count; i++) {
        Handle *handle = slots[i].handle;
        if (handle && handle->object == object && handle->kind != HANDLE_CALLBACK)
            event_to_handle(handle, type, result, data);
    }
}

void event_to_everybody(DWORD type, HRESULT result)
{
    state_lock();
    for (size_t i = 0; i < slot_count; i++) {
        Handle *handle = slots[i].handle;
        if (handle && (handle->kind == HANDLE_SYSTEM || handle->kind == HANDLE_PROCESS))
            event_to_handle(handle, type, result, NULL);
    }
    state_unlock();
}

int handles_on(const void *object)
{
    int count = 0;
    for (size_t i = 0; i < slot_count; i++)
        if (slots[i].handle && slots[i].handle->object == object)
            count++;
    return count;
}
