/* Answers to queries: about a system, about all systems, about the service. */

#ifndef STANDIN_PROPERTIES_H
#define STANDIN_PROPERTIES_H

#include <windows.h>

#include "json.h"
#include "systems.h"

/* Adds a system's properties; `query` (may be NULL) names those beyond the plain ones. */
void properties_of_system(System *system, const Json *query, Text *answer);

/* Adds an array of the plain properties of all systems of this process that fit the query. */
void properties_enumerate(const Json *query, Text *answer);

/* Adds {"Properties":[...]} of the service. */
HRESULT properties_of_service(const Json *query, Text *answer);

/* Changes a setting of the service: instances of the credential guard. */
HRESULT service_modify(const Json *settings);

#endif
