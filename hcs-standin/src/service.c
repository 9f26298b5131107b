/* The service's own properties and settings: processors, and instances of the credential guard. */

#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "properties.h"
#include "state.h"

typedef struct Guard {
    char *id, *specification, *transport;
    struct Guard *next;
} Guard;

static Guard *guards; /* under the lock */

static unsigned processor_count(void)
{
    SYSTEM_INFO info;
    Json *config = config_read(NULL);
    GetSystemInfo(&info);
    double count = json_number(config, "processors", info.dwNumberOfProcessors);
    json_free(config);
    return count >= 1 && count <= 1024 ? (unsigned)count : 1;
}

static void add_processors(Text *answer)
{
    unsigned count = processor_count();
    text_addf(answer, "{\"LogicalProcessorCount\":%u,\"LogicalProcessors\":[", count);
    for (unsigned i = 0; i < count; i++)
        text_addf(answer,
                  "%s{\"LpIndex\":%u,\"NodeNumber\":0,\"PackageId\":0,\"CoreId\":%u,"
                  "\"RootVpIndex\":%u}",
                  i ? "," : "", i, i, i);
    text_add(answer, "]}");
}

static void add_guards(Text *answer)
{
    text_add(answer, "{\"Instances\":[");
    state_lock();
    for (const Guard *guard = guards; guard; guard = guard->next) {
        text_add(answer, guard == guards ? "{\"Id\":" : ",{\"Id\":");
        text_add_quoted(answer, guard->id);
        text_add(answer, ",\"CredentialGuard\":{\"Cookie\":\"cookie-of-the-stand-in\","
                         "\"RpcEndpoint\":\"endpoint-of-the-stand-in\",\"Transport\":");
        text_add_quoted(answer, guard->transport);
        text_add(answer, ",\"CredentialSpec\":");
        text_add_quoted(answer, guard->specification);
        text_add(answer, "}}");
    }
    state_unlock();
    text_add(answer, "]}");
}

HRESULT properties_of_service(const Json *query, Text *answer)
{
    const Json *types = json_at(query, "PropertyTypes");
    bool several = false;
    text_add(answer, "{\"Properties\":[");
    for (const Json *type = types ? types->first : NULL; type; type = type->next) {
        const char *name = type->kind == JSON_STRING ? type->string : "";
        text_add(answer, several ? "," : "");
        several = true;
        if (strcmp(name, "ProcessorTopology") == 0)
            add_processors(answer);
        else if (strcmp(name, "ContainerCredentialGuard") == 0)
            add_guards(answer);
        else if (strcmp(name, "Basic") == 0)
            text_add(answer, "{\"SupportedSchemaVersions\":[{\"Major\":1,\"Minor\":0},"
                             "{\"Major\":2,\"Minor\":1},{\"Major\":2,\"Minor\":5}]}");
        else
            return E_INVALIDARG;
    }
    text_add(answer, "]}");
    return S_OK;
}

static void add_guard(const Json *details, const char *id)
{
    Guard *guard = memory(sizeof *guard);
    guard->id = text_copy(id);
    guard->specification = text_copy(json_string(details, "CredentialSpec", ""));
    guard->transport = text_copy(json_string(details, "Transport", "LRPC"));
    guard->next = guards;
    guards = guard;
}

static HRESULT remove_guard(const char *id)
{
    for (Guard **link = &guards; *link; link = &(*link)->next) {
        Guard *guard = *link;
        if (strcmp(guard->id, id) != 0)
            continue;
        *link = guard->next;
        free(guard->id);
        free(guard->specification);
        free(guard->transport);
        free(guard);
        return S_OK;
    }
    return HRESULT_FROM_WIN32(ERROR_NOT_FOUND);
}

HRESULT service_modify(const Json *settings)
{
    const char *operation = json_string(settings, "Settings.Operation", "");
    const Json *details = json_at(settings, "Settings.OperationDetails");
    const char *id = json_string(details, "Id", NULL);
    HRESULT result = E_INVALIDARG;
    if (strcmp(json_string(settings, "PropertyType", ""), "ContainerCredentialGuard") != 0 || !id)
        return settings ? E_INVALIDARG : HCS_INVALID_JSON;
    state_lock();
    if (strcmp(operation, "AddInstance") == 0) {
        add_guard(details, id);
        result = S_OK;
    } else if (strcmp(operation, "RemoveInstance") == 0) {
        result = remove_guard(id);
    }
    state_unlock();
    return result;
}
