/* Faults to show on purpose: rules of the configuration's member "faults". */

#ifndef STANDIN_FAULTS_H
#define STANDIN_FAULTS_H

#include <stdbool.h>

#include <windows.h>

/* When a failure shows. */
typedef enum {
    FAULT_NONE,       /* not at all: a rule may only delay */
    FAULT_CALL,       /* the call itself fails, nothing is done */
    FAULT_COMPLETION, /* the call succeeds, its operation fails, nothing is done */
    FAULT_AFTER,      /* everything is done, and then reported as failed */
} FaultStage;

typedef struct {
    FaultStage stage;
    HRESULT result;
    char answer[1024];    /* result document for a failure; empty: one with the message alone */
    DWORD call_delay;     /* milliseconds that the call blocks */
    DWORD delay;          /* milliseconds that its operation takes longer */
    bool never;           /* the operation never completes, unless cancelled */
    bool exit_first;      /* the system (or new process) exits before the operation completes */
    bool disconnect;      /* every handle hears that the service is gone, then */
} Fault;

/* The fault of the first rule that fits, or one that is all zeroes. Counts the rule's uses.
 *
 * system, document: may be NULL. */
Fault fault_for(const char *name, const char *system, const char *document);

#endif
