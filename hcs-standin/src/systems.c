#include "systems.h"

#include <stdlib.h>
#include <string.h>

#include "handles.h"
#include "processes.h"
#include "state.h"

enum {
    REAP_LIMIT = 10000, /* milliseconds for ended processes to be seen to end */
    GENERATIONS = 16,   /* systems of one id, all but one gone, that handles may still be open on */
};

static System *systems;

/* The name of one of a system's events; a backslash would mean a folder there. */
static wchar_t *event_name(const char *id, const char *what, unsigned generation)
{
    Text name = {0};
    text_addf(&name, "hcs-standin-%s-%u-%s", what, generation, id);
    for (char *c = name.data; *c; c++)
        if (*c == '\\')
            *c = '_';
    wchar_t *wide = wide_from(name.data);
    free(name.data);
    return wide;
}

static HANDLE make_event(const char *id, const char *what, unsigned generation, bool *is_new)
{
    wchar_t *name = event_name(id, what, generation);
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, name);
    *is_new = event && GetLastError() != ERROR_ALREADY_EXISTS;
    free(name);
    return event;
}

static HANDLE open_event(const char *id, const char *what, unsigned generation)
{
    wchar_t *name = event_name(id, what, generation);
    HANDLE event = OpenEventW(EVENT_MODIFY_STATE | SYNCHRONIZE, FALSE, name);
    free(name);
    return event;
}

static bool is_set(HANDLE event)
{
    return WaitForSingleObject(event, 0) == WAIT_OBJECT_0;
}

static bool well_formed(const Json *document)
{
    return json_at(document, "SchemaVersion") || json_at(document, "SystemType");
}

static bool describes_one_system(const Json *document)
{
    int kinds = 0;
    static const char *const names[] = {"Container", "VirtualMachine", "HostedSystem", "SystemType"};
    for (size_t i = 0; i < ARRAYSIZE(names); i++)
        kinds += json_at(document, names[i]) != NULL;
    return kinds == 1;
}

static System *find(const char *id)
{
    for (System *system = systems; system; system = system->next)
        if (_stricmp(system->id, id) == 0)
            return system;
    return NULL;
}

static void free_system(System *system)
{
    if (system->job)
        CloseHandle(system->job);
    if (system->stop_wanted)
        CloseHandle(system->stop_wanted);
    if (system->gone)
        CloseHandle(system->gone);
    json_free(system->document);
    free(system->id);
    free(system);
}

static System *allocate(const char *id)
{
    System *system = memory(sizeof *system);
    system->references = 1;
    system->id = text_copy(id);
    return system;
}

/* Stops the system when another process wants it; ends when the system is gone. */
static DWORD WINAPI obey_others(void *argument)
{
    System *system = argument;
    HANDLE either[] = {system->gone, system->stop_wanted};
    if (WaitForMultipleObjects(2, either, FALSE, INFINITE) == WAIT_OBJECT_0 + 1)
        system_stop(system, "ForcedExit", EXIT_TERMINATED);
    system_drop(system);
    return 0;
}

/* Tells the end of another process's system to this process's handles. */
static DWORD WINAPI watch_foreign(void *argument)
{
    System *system = argument;
    WaitForSingleObject(system->gone, INFINITE);
    state_lock();
    system->state = SYSTEM_STOPPED;
    system->exit_type = "Unknown";
    event_to_object(system, EVENT_SYSTEM_EXITED, S_OK, "{\"Status\":0,\"ExitType\":\"Unknown\"}");
    state_unlock();
    system_drop(system);
    return 0;
}

/* Registers the id for all processes to see. A name may be taken by a system that is gone and that
 * somebody still holds; then there is the next generation's. False if the id is in use. */
static bool register_id(System *system)
{
    for (unsigned generation = 0; generation < GENERATIONS; generation++) {
        bool is_new, ignored;
        HANDLE gone = make_event(system->id, "gone", generation, &is_new);
        if (is_new) {
            system->gone = gone;
            system->stop_wanted = make_event(system->id, "stop", generation, &ignored);
            return system->stop_wanted != NULL;
        }
        bool in_use = !gone || !is_set(gone);
        if (gone)
            CloseHandle(gone);
        if (in_use)
            return false;
    }
    return false;
}

static void make_job(System *system)
{
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits = {0};
    limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
    system->job = CreateJobObjectW(NULL, NULL);
    SetInformationJobObject(system->job, JobObjectExtendedLimitInformation, &limits,
                            sizeof limits);
}

HRESULT system_new(const char *id, Json *document, System **made)
{
    if (!well_formed(document) || !describes_one_system(document))
        return HCS_INVALID_JSON;
    System *system = allocate(id);
    state_lock();
    if (find(id) || !register_id(system)) {
        state_unlock();
        free_system(system);
        return HCS_SYSTEM_EXISTS;
    }
    make_job(system);
    system->document = document;
    system->dies_with_handle = json_true(document, "ShouldTerminateOnLastHandleClosed") ||
                               json_true(document, "TerminateOnLastHandleClosed");
    GetSystemTimeAsFileTime(&system->created);
    system->next = systems;
    systems = system;
    system->references += 2; /* the list's, and the thread's */
    state_unlock();
    run_apart(obey_others, system);
    *made = system;
    return S_OK;
}

static System *open_foreign(const char *id)
{
    for (unsigned generation = 0; generation < GENERATIONS; generation++) {
        HANDLE gone = open_event(id, "gone", generation);
        HANDLE stop = gone && !is_set(gone) ? open_event(id, "stop", generation) : NULL;
        if (stop) {
            System *system = allocate(id);
            system->foreign = true;
            system->state = SYSTEM_RUNNING;
            system->gone = gone;
            system->stop_wanted = stop;
            system->references++;
            run_apart(watch_foreign, system);
            return system;
        }
        if (gone)
            CloseHandle(gone);
    }
    return NULL;
}

HRESULT system_find(const char *id, System **found)
{
    state_lock();
    System *system = find(id);
    if (system)
        system->references++;
    state_unlock();
    if (!system)
        system = open_foreign(id);
    *found = system;
    return system ? S_OK : HCS_SYSTEM_NOT_FOUND;
}

void system_keep(System *system)
{
    system->references++;
}

void system_drop(System *system)
{
    state_lock();
    bool last = --system->references == 0;
    state_unlock();
    if (last)
        free_system(system);
}

HRESULT system_move(System *system, SystemState from, SystemState to)
{
    state_lock();
    HRESULT result = system->state == SYSTEM_STOPPED ? HCS_SYSTEM_STOPPED
                     : system->state != from         ? HCS_INVALID_STATE
                                                     : S_OK;
    if (result == S_OK) {
        system->state = to;
        if (to == SYSTEM_RUNNING && from == SYSTEM_CREATED)
            GetSystemTimeAsFileTime(&system->started);
    }
    state_unlock();
    return result;
}

static void stop_foreign(System *system)
{
    SetEvent(system->stop_wanted);
    if (WaitForSingleObject(system->gone, REAP_LIMIT) == WAIT_TIMEOUT)
        SetEvent(system->gone); /* its creator has died, and its processes with it */
}

static void unlist(System *system)
{
    for (System **link = &systems; *link; link = &(*link)->next) {
        if (*link == system) {
            *link = system->next;
            system->references--; /* never the last: the caller has one */
            return;
        }
    }
}

void system_stop(System *system, const char *exit_type, DWORD code)
{
    if (system->foreign) {
        stop_foreign(system);
        return;
    }
    state_lock();
    if (system->state == SYSTEM_STOPPED) {
        state_unlock();
        return;
    }
    system->state = SYSTEM_STOPPED;
    system->exit_type = exit_type;
    unlist(system);
    TerminateJobObject(system->job, code);
    ULONGLONG deadline = deadline_in(REAP_LIMIT);
    while (processes_living(system) && state_wait(deadline))
        continue;
    bool unexpected = strcmp(exit_type, "UnexpectedExit") == 0;
    HRESULT status = unexpected ? HCS_UNEXPECTED_EXIT : S_OK;
    Text data = {0};
    text_addf(&data, "{\"Status\":%ld,\"ExitType\":\"%s\"}", status, exit_type);
    event_to_object(system, EVENT_SYSTEM_EXITED, status, data.data);
    SetEvent(system->gone);
    state_changed();
    state_unlock();
    free(data.data);
}

void system_handle_closed(System *system)
{
    state_lock();
    bool last = handles_on(system) == 0 && system->dies_with_handle;
    state_unlock();
    if (last)
        system_stop(system, "ForcedExit", EXIT_TERMINATED);
}

HRESULT system_alive(System *system)
{
    state_lock();
    HRESULT result = system->state == SYSTEM_STOPPED ? HCS_SYSTEM_STOPPED : S_OK;
    state_unlock();
    return result;
}

const char *system_state_name(const System *system)
{
    static const char *const names[] = {
        [SYSTEM_CREATING] = "Created", [SYSTEM_CREATED] = "Created", [SYSTEM_RUNNING] = "Running",
        [SYSTEM_PAUSED] = "Paused",    [SYSTEM_STOPPED] = "Stopped",
    };
    return names[system->state];
}

const char *system_type(const System *system)
{
    return json_at(system->document, "VirtualMachine") ? "VirtualMachine" : "Container";
}

void systems_visit(void (*visit)(System *system, void *context), void *context)
{
    state_lock();
    for (System *system = systems; system; system = system->next)
        visit(system, context);
    state_unlock();
}
