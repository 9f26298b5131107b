/* Compute systems: a job object with processes in it, and a state. */

#ifndef STANDIN_SYSTEMS_H
#define STANDIN_SYSTEMS_H

#include <stdbool.h>

#include <windows.h>

#include "json.h"

typedef enum { SYSTEM_CREATING, SYSTEM_CREATED, SYSTEM_RUNNING, SYSTEM_PAUSED, SYSTEM_STOPPED }
SystemState;

typedef struct Process Process;

typedef struct System {
    int references;
    char *id;              /* never changes; so do the next four */
    Json *document;        /* as created; NULL if another process created it */
    HANDLE job;            /* NULL if another process created it */
    HANDLE stop_wanted;    /* named event: another process wants it to stop */
    HANDLE gone;           /* named event: it has stopped */
    bool foreign;          /* another process created it */
    bool dies_with_handle; /* the last handle closed terminates it */
    SystemState state;
    const char *exit_type; /* once stopped */
    FILETIME created;
    FILETIME started;
    ULONGLONG peak_commit; /* bytes, the most that a query has seen */
    Process *processes;    /* all of its, newest first; each holds a reference to the system */
    struct System *next;   /* in the list of those that exist */
} System;

/* Makes a system and puts it into the list, in state CREATING, with one reference. The system owns
 * `document` then. On failure (invalid, exists) nothing is taken. Takes the lock. */
HRESULT system_new(const char *id, Json *document, System **system);

/* A reference to the existing system, of this process or, failing that, of another one. */
HRESULT system_find(const char *id, System **system);

void system_keep(System *system);
void system_drop(System *system); /* takes the lock */

/* Moves from one state to another, or says why that can't be. Takes the lock. */
HRESULT system_move(System *system, SystemState from, SystemState to);

/* Ends all processes with `code`, waits for their ends to be told, then tells the system's.
 * Does nothing if it has stopped. Takes the lock. */
void system_stop(System *system, const char *exit_type, DWORD code);

/* After a handle on it was closed: terminates it if that was the last and it is to die so. */
void system_handle_closed(System *system);

/* HCS_SYSTEM_STOPPED or S_OK. Takes the lock. */
HRESULT system_alive(System *system);

/* The word that properties use for the state. Under the lock. */
const char *system_state_name(const System *system);

/* "Container" or "VirtualMachine". */
const char *system_type(const System *system);

/* Calls `visit` for each existing system of this process, under the lock. */
void systems_visit(void (*visit)(System *system, void *context), void *context);

/* What a terminated or shut down process leaves as its exit code. */
#define EXIT_TERMINATED 0xFFFFFFFFu
#define EXIT_SHUTDOWN 0x40010004u  /* DBG_TERMINATE_PROCESS */
#define EXIT_CONTROL_C 0xC000013Au /* STATUS_CONTROL_C_EXIT */

#endif
