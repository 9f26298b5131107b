/* Requests: what a call asks for, carried out later and elsewhere, as the real service does.
 *
 * computecore tells the end of a request through an operation, vmcompute through an event or, for
 * requests that only ask, in the call itself. Faults of the configuration act here. */

#ifndef STANDIN_REQUESTS_H
#define STANDIN_REQUESTS_H

#include "calls.h"
#include "handles.h"
#include "json.h"
#include "processes.h"
#include "systems.h"

typedef enum { OPERATION_IDLE, OPERATION_RUNNING, OPERATION_DONE } OperationState;

/* What an HCS_OPERATION stands for. All under the lock. */
typedef struct {
    int references;
    OperationState state;
    bool cancelled;
    HRESULT result;
    char *answer;             /* result document, or NULL */
    Process *process;         /* whose information the result has, referenced; or NULL */
    DWORD type;               /* HCS_OPERATION_TYPE */
    unsigned long long id;
    void *callback, *context; /* HCS_OPERATION_COMPLETION, or NULL */
    HANDLE number;            /* the handle, for the callback */
    HANDLE system, target;    /* the handles that it works on, for the getters */
} Operation;

typedef struct Request Request;

/* Does the work, outside the lock; adds the result document to `answer`. */
typedef HRESULT Work(Request *request, Text *answer);

struct Request {
    Call call;
    Work *work;
    DWORD type;           /* HCS_OPERATION_TYPE */
    bool legacy;
    DWORD event;          /* vmcompute: tells the end; 0: the call itself does */
    Handle *handle;       /* the one that the call was made on, referenced; or NULL */
    HANDLE number;        /* its number */
    System *system;       /* referenced, or NULL */
    Process *process;     /* referenced, or NULL */
    Json *document;       /* or NULL */
    Operation *operation; /* computecore: referenced */
    bool gives_process;   /* the result includes process information */
};

/* A request of one of the two DLLs, traced. The caller adds what it works on, and submits it.
 *
 * document: what was handed over; NULL or empty is no document. */
Request *request_new(const About *about, Work *work, const wchar_t *document);

/* Points the request at the object behind a handle; false if there is none. */
bool request_on_system(Request *request, HANDLE system);
bool request_on_process(Request *request, HANDLE process);

/* Gives the request up with that result, which is returned. */
HRESULT request_refuse(Request *request, HRESULT result);

/* Starts the request under an operation; returns the call's result. Owns the request. */
HRESULT request_submit(Request *request, HANDLE operation);

/* Starts the request for vmcompute; `answer` (may be NULL) gets a result document that the caller
 * frees, or NULL. Owns the request. */
HRESULT request_submit_legacy(Request *request, PWSTR *answer);

/* Operations. */
HANDLE operation_open(void *context, void *callback);
HRESULT operation_cancel(HANDLE number);

/* Waits at most `milliseconds` for the result, as HcsWaitForOperationResultAndProcessInfo; without
 * patience (0 and `poll`) it is HcsGetOperationResultAndProcessInfo. `info` may be NULL. */
HRESULT operation_result(HANDLE number, DWORD milliseconds, bool poll, ProcessInformation *info,
                         PWSTR *answer);

#endif
