/* The configuration: a JSON file that HCS_STANDIN_CONFIG names, read again at every use. */

#ifndef STANDIN_CONFIG_H
#define STANDIN_CONFIG_H

#include "json.h"

/* The whole file as a value, or NULL if there is none or it is not JSON. The caller frees it.
 *
 * version: set to a number that changes with the file's content; may be NULL. */
Json *config_read(unsigned *version);

#endif
