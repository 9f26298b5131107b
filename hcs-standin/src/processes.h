/* Processes of compute systems: real ones, in the system's job object, with real pipes. */

#ifndef STANDIN_PROCESSES_H
#define STANDIN_PROCESSES_H

#include <stdbool.h>

#include <windows.h>

#include "json.h"
#include "systems.h"

/* As HCS_PROCESS_INFORMATION. */
typedef struct {
    DWORD process_id;
    DWORD reserved;
    HANDLE input, output, error; /* the caller's ends; NULL: not there */
} ProcessInformation;

struct Process {
    int references;
    System *system; /* referenced */
    DWORD id;
    HANDLE handle;
    HANDLE console;          /* pseudo console, or NULL */
    ProcessInformation info; /* the ends of the pipes as long as nobody has asked for them */
    bool started, exited;
    DWORD exit_code;
    struct Process *next; /* in the system's list, which holds no reference */
};

/* A process to be, with one reference. Takes the lock. */
Process *process_new(System *system);

/* The system's process of that id, referenced, or NULL. Takes the lock. */
Process *process_find(System *system, DWORD id);

void process_keep(Process *process); /* under the lock */
void process_drop(Process *process); /* takes the lock */

/* Starts it as a document of process parameters says. */
HRESULT process_start(Process *process, const Json *parameters);

/* The pipe ends pass to the caller, once; later calls get the id alone. */
HRESULT process_take_information(Process *process, ProcessInformation *info);

/* Ends it; HCS_PROCESS_STOPPED if it has ended. */
HRESULT process_end(Process *process, DWORD code);

/* Sends what a document {"Signal": ...} says, which is the end of it. */
HRESULT process_signal(Process *process, const Json *options);

/* Carries out a modification: console size, closing of a standard handle. */
HRESULT process_modify(Process *process, const Json *settings);

/* Waits until its end has been told. */
void process_wait(Process *process);

/* Adds the status document. */
void process_status(Process *process, Text *answer);

/* Whether processes of the system live. Under the lock. */
bool processes_living(const System *system);

/* The value of a DWORD or S_OK as HRESULT of a failed Win32 call. */
HRESULT last_error(void);

#endif
