/* The trace: one JSON object a line, appended to the file that HCS_STANDIN_TRACE names. */

#ifndef STANDIN_TRACE_H
#define STANDIN_TRACE_H

#include "text.h"

/* Starts a line: its number, `what` it is, when and by whom. Further members may be added. */
unsigned trace_begin(Text *line, const char *what);

/* Adds a member with a string value; leaves it out if the value is NULL. */
void trace_string(Text *line, const char *name, const char *value);

/* Adds a member "result" with an HRESULT in hexadecimal digits. */
void trace_result(Text *line, long result);

/* Ends the line, appends it to the file in one write, and frees it. */
void trace_end(Text *line);

#endif
