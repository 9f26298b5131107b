/* Making and opening systems and processes, which both DLLs do alike but for how they tell the end. */

#ifndef STANDIN_OPENS_H
#define STANDIN_OPENS_H

#include "requests.h"

/* How the caller's DLL submits: by computecore's operation or vmcompute's answer. */
typedef struct {
    bool legacy;
    HANDLE operation;
    PWSTR *answer;
} Manner;

HRESULT submit(Request *request, const Manner *manner);

HRESULT create_system(const char *dll, PCWSTR id, PCWSTR document, const Manner *manner,
                      HANDLE *system);
HRESULT open_system(const char *dll, PCWSTR id, bool legacy, HANDLE *system);
void close_system(const char *dll, HANDLE system);

HRESULT create_process(const char *dll, HANDLE system, PCWSTR document, const Manner *manner,
                       ProcessInformation *info, HANDLE *process);
HRESULT open_process(const char *dll, HANDLE system, DWORD id, bool legacy, HANDLE *process);
void close_process(const char *dll, HANDLE process);

/* A request on a system or process that needs no more than its document. */
HRESULT on_system(const About *about, Work *work, DWORD type, DWORD event, HANDLE system,
                  PCWSTR document, const Manner *manner);
HRESULT on_process(const About *about, Work *work, DWORD type, HANDLE process, PCWSTR document,
                   const Manner *manner);
HRESULT on_service(const About *about, Work *work, PCWSTR document, PWSTR *properties);

/* Sets the callback of a handle; a NULL callback removes it. */
HRESULT set_callback(const About *about, HANDLE handle, HandleKind kind, void *callback,
                     void *context);

#endif
