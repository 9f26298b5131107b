/* Starting a Windows process from a document of process parameters. */

#ifndef STANDIN_LAUNCH_H
#define STANDIN_LAUNCH_H

#include <windows.h>

#include "processes.h"

typedef struct {
    HANDLE process;
    HANDLE console; /* pseudo console, or NULL */
    ProcessInformation info;
} Launched;

/* Starts a process in the job. All handles of `launched` are the caller's.
 *
 * host: the computer name that the process is told, or NULL. */
HRESULT launch(HANDLE job, const char *host, const Json *parameters, Launched *launched);

/* Pseudo consoles, which old systems lack. */
void console_close(HANDLE console);
HRESULT console_resize(HANDLE console, SHORT width, SHORT height);

#endif
