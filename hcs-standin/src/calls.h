/* What every exported function does first and last: leave a trace, look for a fault to show. */

#ifndef STANDIN_CALLS_H
#define STANDIN_CALLS_H

#include <stdbool.h>

#include <windows.h>

#include "faults.h"

/* What a call is about; any member may be NULL or 0. */
typedef struct {
    const char *dll;
    const char *name;      /* of the export, in computecore's spelling where both DLLs have it */
    const char *system;    /* compute system id */
    DWORD process;         /* process id */
    const char *arguments; /* further arguments as a JSON object */
    const char *document;  /* the document handed over, as it came */
} About;

/* A call in progress. */
typedef struct {
    unsigned number; /* in the trace, to which its return and its completion refer */
    Fault fault;
} Call;

/* Traces the call, finds its fault, and blocks as long as the fault says. */
Call call_begin(const About *about);

/* Whether the call is to fail at once, with `call->fault.result`. */
bool call_refused(const Call *call);

/* Traces the return; gives `result` back. `answer` is the document handed out, or NULL. */
HRESULT call_end(const Call *call, HRESULT result, const char *answer);

/* Traces the end of what the call began; another thread may do that much later. */
void call_completed(const Call *call, HRESULT result, const char *answer);

/* For calls that do all at once: refuses, or returns the result of the work already done. */
#define CALL_RESULT(call, work) (call_refused(call) ? (call)->fault.result : (work))

#endif
