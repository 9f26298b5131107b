/* The exports of computenetwork.dll, and vmcompute.dll's HNSCall: namespaces and endpoints.
 *
 * Those of the configuration exist from the beginning; others come and go by calls. Each is a JSON
 * object that keeps what its creator said. A namespace keeps its endpoints in a list beside. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <windows.h>

#include "calls.h"
#include "config.h"
#include "guids.h"
#include "handles.h"
#include "state.h"

#define EXPORT __declspec(dllexport)
#define NOT_FOUND HRESULT_FROM_WIN32(ERROR_NOT_FOUND)

typedef enum { NAMESPACE, ENDPOINT } Kind;

/* Never freed: one that is deleted is still known, lest the configuration makes it again. */
typedef struct Thing {
    Kind kind;
    char id[37];
    unsigned number; /* NamespaceId */
    bool deleted;
    Json *settings;             /* as created; may be NULL */
    struct Thing *belongs_to;   /* ENDPOINT: the namespace that it is in, or NULL */
    struct Thing *next;
} Thing;

static Thing *things; /* under the lock; so is everything in them */

static Thing *find_any(Kind kind, const char *id)
{
    for (Thing *thing = things; thing; thing = thing->next)
        if (thing->kind == kind && _stricmp(thing->id, id) == 0)
            return thing;
    return NULL;
}

static Thing *find(Kind kind, const char *id)
{
    Thing *thing = id ? find_any(kind, id) : NULL;
    return thing && !thing->deleted ? thing : NULL;
}

static Thing *add(Kind kind, const char *id, Json *settings)
{
    static unsigned last;
    Thing *thing = memory(sizeof *thing);
    thing->kind = kind;
    snprintf(thing->id, sizeof thing->id, "%s", id);
    thing->number = ++last;
    thing->settings = settings;
    thing->next = things;
    things = thing;
    return thing;
}

static Json *copy_of(const Json *value)
{
    Text text = {0};
    json_write(value, &text);
    Json *copy = json_parse(text.data);
    free(text.data);
    return copy;
}

/* Adds what the configuration lists and nobody has heard of. */
static void add_configured(Kind kind, const Json *list)
{
    for (const Json *item = list ? list->first : NULL; item; item = item->next) {
        const char *id = json_string(item, "ID", NULL);
        if (!id || find_any(kind, id))
            continue;
        Thing *thing = add(kind, id, copy_of(item));
        if (kind == ENDPOINT)
            thing->belongs_to = find(NAMESPACE, json_string(item, "HostComputeNamespace", NULL));
    }
}

static void learn(void)
{
    Json *config = config_read(NULL);
    state_lock();
    add_configured(NAMESPACE, json_member(config, "namespaces"));
    add_configured(ENDPOINT, json_member(config, "endpoints"));
    state_unlock();
    json_free(config);
}

static Call begin(const char *dll, const char *name, const char *id, PCWSTR document)
{
    Text arguments = {0};
    char *text = utf8_from(document);
    if (id) {
        text_add(&arguments, "{\"Id\":");
        text_add_quoted(&arguments, id);
        text_add(&arguments, "}");
    }
    Call call = call_begin(&(const About){.dll = dll,
                                          .name = name,
                                          .arguments = arguments.data,
                                          .document = text && *text ? text : NULL});
    free(arguments.data);
    free(text);
    learn();
    return call;
}

/* Ends a call: an answer (freed) for success, an error record for a failure. */
static HRESULT finish(const Call *call, HRESULT result, Text *answer, PWSTR *properties,
                      PWSTR *error)
{
    result = CALL_RESULT(call, result);
    if (properties)
        *properties = result == S_OK ? wide_for_caller(text_of(answer)) : NULL;
    if (error) {
        Text record = {0};
        if (result != S_OK)
            text_addf(&record,
                      "{\"Success\":false,\"Error\":\"%s\",\"ErrorCode\":%lu}",
                      result == NOT_FOUND ? "Element not found." : "The stand-in refused.",
                      (unsigned long)result);
        *error = wide_for_caller(record.data);
        free(record.data);
    }
    call_end(call, result, answer ? answer->data : NULL);
    if (answer)
        free(answer->data);
    return result;
}

/* The JSON text that "Filter" holds names the id wanted; NULL: all. */
static bool passes(const Json *query, const char *id)
{
    Json *filter = json_parse(json_string(query, "Filter", NULL));
    const char *wanted = json_string(filter, "ID", NULL);
    bool passed = !wanted || _stricmp(wanted, id) == 0;
    json_free(filter);
    return passed;
}

static HRESULT enumerate(Kind kind, const char *name, PCWSTR query, PWSTR *list, PWSTR *error)
{
    Call call = begin("computenetwork", name, NULL, query);
    Text answer = {0};
    char *text = utf8_from(query);
    Json *parsed = json_parse(text);
    text_add(&answer, "[");
    state_lock();
    for (Thing *thing = things; thing; thing = thing->next)
        if (thing->kind == kind && !thing->deleted && passes(parsed, thing->id))
            text_addf(&answer, "%s\"%s\"", answer.length > 1 ? "," : "", thing->id);
    state_unlock();
    text_add(&answer, "]");
    json_free(parsed);
    free(text);
    return finish(&call, S_OK, &answer, list, error);
}

static void release_thing(HandleKind kind, void *object)
{
    (void)kind, (void)object; /* things stay */
}

static HRESULT open_thing(Kind kind, const char *name, const GUID *guid, HANDLE *handle,
                          PWSTR *error)
{
    GuidText id = guid_text(guid);
    Call call = begin("computenetwork", name, id.text, NULL);
    state_lock();
    Thing *thing = find(kind, id.text);
    state_unlock();
    *handle = NULL;
    HRESULT result = CALL_RESULT(&call, thing ? S_OK : NOT_FOUND);
    if (result == S_OK)
        *handle = handle_open(kind == NAMESPACE ? HANDLE_NAMESPACE : HANDLE_ENDPOINT, false, thing,
                              release_thing);
    return finish(&call, result, NULL, NULL, error);
}

static HRESULT create_thing(Kind kind, const char *name, const GUID *guid, PCWSTR settings,
                            HANDLE *handle, PWSTR *error)
{
    static const GUID none;
    GUID made = guid && memcmp(guid, &none, sizeof none) != 0 ? *guid : guid_random();
    GuidText id = guid_text(&made);
    Call call = begin("computenetwork", name, id.text, settings);
    char *text = utf8_from(settings);
    Json *parsed = json_parse(text);
    HRESULT result = CALL_RESULT(&call, parsed ? S_OK : HCS_INVALID_JSON);
    free(text);
    *handle = NULL;
    if (result == S_OK) {
        state_lock();
        Thing *thing = add(kind, id.text, parsed);
        state_unlock();
        *handle = handle_open(kind == NAMESPACE ? HANDLE_NAMESPACE : HANDLE_ENDPOINT, false, thing,
                              release_thing);
    } else {
        json_free(parsed);
    }
    return finish(&call, result, NULL, NULL, error);
}

/* Whether a word is one of those in a list, which spaces part. */
static bool among(const char *list, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = list; (at = strstr(at, word)) != NULL; at += length)
        if ((at == list || at[-1] == ' ') && (!at[length] || at[length] == ' '))
            return length > 0;
    return false;
}

/* Adds the members of the settings that are not among those said already. */
static void add_settings(const Json *settings, const char *said, Text *answer)
{
    for (const Json *item = settings ? settings->first : NULL; item; item = item->next) {
        if (!item->name || among(said, item->name))
            continue;
        text_add(answer, ",");
        text_add_quoted(answer, item->name);
        text_add(answer, ":");
        json_write(item, answer);
    }
}

static void describe(const Thing *thing, Text *answer)
{
    text_addf(answer, "{\"ID\":\"%s\"", thing->id);
    if (thing->kind == ENDPOINT) {
        if (thing->belongs_to)
            text_addf(answer, ",\"HostComputeNamespace\":\"%s\"", thing->belongs_to->id);
        add_settings(thing->settings, "ID HostComputeNamespace SchemaVersion", answer);
    } else {
        bool several = false;
        text_addf(answer, ",\"NamespaceId\":%u,\"Type\":\"%s\",\"Resources\":[", thing->number,
                  json_string(thing->settings, "Type", "Host"));
        for (const Thing *other = things; other; other = other->next) {
            if (other->kind != ENDPOINT || other->deleted || other->belongs_to != thing)
                continue;
            text_addf(answer, "%s{\"Type\":\"Endpoint\",\"Data\":{\"ID\":\"%s\"}}",
                      several ? "," : "", other->id);
            several = true;
        }
        text_add(answer, "]");
        add_settings(thing->settings, "ID NamespaceId Type Resources SchemaVersion", answer);
    }
    text_add(answer, ",\"SchemaVersion\":{\"Major\":2,\"Minor\":0}}");
}

static HRESULT query(HandleKind kind, const char *name, HANDLE number, PCWSTR asked,
                     PWSTR *properties, PWSTR *error)
{
    Handle *handle = handle_take(number, kind);
    Thing *thing = handle ? handle->object : NULL;
    Call call = begin("computenetwork", name, thing ? thing->id : NULL, asked);
    Text answer = {0};
    HRESULT result = thing ? S_OK : E_HANDLE;
    if (thing) {
        state_lock();
        if (thing->deleted)
            result = NOT_FOUND;
        else
            describe(thing, &answer);
        state_unlock();
        handle_drop(handle);
    }
    return finish(&call, result, &answer, properties, error);
}

static HRESULT delete_thing(Kind kind, const char *dll, const char *name, const char *id,
                            PWSTR *error)
{
    Call call = begin(dll, name, id, NULL);
    state_lock();
    Thing *thing = find(kind, id);
    if (thing && !call_refused(&call))
        thing->deleted = true;
    state_unlock();
    return finish(&call, thing ? S_OK : NOT_FOUND, NULL, NULL, error);
}

static HRESULT close_thing(HandleKind kind, const char *name, HANDLE number)
{
    Call call = begin("computenetwork", name, NULL, NULL);
    return call_end(&call, handle_close(number, kind) ? S_OK : E_HANDLE, NULL);
}

/* Puts an endpoint into the namespace or takes it out. Under the lock. */
static HRESULT place_endpoint(Thing *space, const char *request, const char *id)
{
    Thing *endpoint = find(ENDPOINT, id);
    if (!endpoint)
        return NOT_FOUND;
    if (strcmp(request, "Add") == 0)
        endpoint->belongs_to = space;
    else if (strcmp(request, "Remove") == 0 && endpoint->belongs_to == space)
        endpoint->belongs_to = NULL;
    else
        return strcmp(request, "Remove") == 0 ? NOT_FOUND : E_INVALIDARG;
    return S_OK;
}

EXPORT HRESULT WINAPI HcnModifyNamespace(HANDLE number, PCWSTR settings, PWSTR *error)
{
    Handle *handle = handle_take(number, HANDLE_NAMESPACE);
    Thing *space = handle ? handle->object : NULL;
    Call call = begin("computenetwork", "HcnModifyNamespace", space ? space->id : NULL, settings);
    char *text = utf8_from(settings);
    Json *parsed = json_parse(text);
    HRESULT result = !space ? E_HANDLE : !parsed ? HCS_INVALID_JSON : S_OK;
    if (result == S_OK && !call_refused(&call) &&
        strcmp(json_string(parsed, "ResourceType", ""), "Endpoint") == 0) {
        state_lock();
        result = place_endpoint(space, json_string(parsed, "RequestType", ""),
                                json_string(parsed, "Settings.EndpointId", NULL));
        state_unlock();
    }
    if (handle)
        handle_drop(handle);
    json_free(parsed);
    free(text);
    return finish(&call, result, NULL, NULL, error);
}

#define EXPORTS_FOR(Name, Names, kind, handle_kind)                                               \
    EXPORT HRESULT WINAPI HcnEnumerate##Names(PCWSTR text, PWSTR *list, PWSTR *error)             \
    {                                                                                             \
        return enumerate(kind, "HcnEnumerate" #Names, text, list, error);                         \
    }                                                                                             \
    EXPORT HRESULT WINAPI HcnOpen##Name(const GUID *id, HANDLE *handle, PWSTR *error)             \
    {                                                                                             \
        return open_thing(kind, "HcnOpen" #Name, id, handle, error);                              \
    }                                                                                             \
    EXPORT HRESULT WINAPI HcnQuery##Name##Properties(HANDLE handle, PCWSTR text,                  \
                                                     PWSTR *properties, PWSTR *error)             \
    {                                                                                             \
        return query(handle_kind, "HcnQuery" #Name "Properties", handle, text, properties,        \
                     error);                                                                      \
    }                                                                                             \
    EXPORT HRESULT WINAPI HcnDelete##Name(const GUID *id, PWSTR *error)                           \
    {                                                                                             \
        return delete_thing(kind, "computenetwork", "HcnDelete" #Name, guid_text(id).text,        \
                            error);                                                               \
    }                                                                                             \
    EXPORT HRESULT WINAPI HcnClose##Name(HANDLE handle)                                           \
    {                                                                                             \
        return close_thing(handle_kind, "HcnClose" #Name, handle);                                \
    }

EXPORTS_FOR(Namespace, Namespaces, NAMESPACE, HANDLE_NAMESPACE)
EXPORTS_FOR(Endpoint, Endpoints, ENDPOINT, HANDLE_ENDPOINT)

EXPORT HRESULT WINAPI HcnCreateNamespace(const GUID *id, PCWSTR settings, HANDLE *handle,
                                         PWSTR *error)
{
    return create_thing(NAMESPACE, "HcnCreateNamespace", id, settings, handle, error);
}

EXPORT HRESULT WINAPI HcnCreateEndpoint(HANDLE network, const GUID *id, PCWSTR settings,
                                        HANDLE *handle, PWSTR *error)
{
    (void)network;
    return create_thing(ENDPOINT, "HcnCreateEndpoint", id, settings, handle, error);
}

/* ---- HNSCall: the older way, with methods and paths as of a web server ---- */

/* POST /namespaces/ID/removeresource and DELETE /namespaces/ID; S_FALSE: no such path. */
static HRESULT serve(const char *method, const char *path, const Json *body)
{
    static const char prefix[] = "/namespaces/";
    char id[37] = "";
    if (strncmp(path, prefix, strlen(prefix)) != 0)
        return S_FALSE;
    path += strlen(prefix);
    size_t length = strcspn(path, "/");
    if (length >= sizeof id)
        return NOT_FOUND;
    memcpy(id, path, length);
    Thing *space = find(NAMESPACE, id);
    if (!space)
        return NOT_FOUND;
    if (_stricmp(method, "DELETE") == 0 && !path[length]) {
        space->deleted = true;
        return S_OK;
    }
    if (_stricmp(method, "POST") == 0 && _stricmp(path + length, "/removeresource") == 0)
        return place_endpoint(space, "Remove", json_string(body, "Data.Id", NULL));
    return S_FALSE;
}

EXPORT HRESULT WINAPI HNSCall(PCWSTR method, PCWSTR path, PCWSTR object, PWSTR *response)
{
    char *verb = utf8_from(method), *place = utf8_from(path), *text = utf8_from(object);
    Text arguments = {0}, answer = {0};
    text_add(&arguments, "{\"Method\":");
    text_add_quoted(&arguments, verb);
    text_add(&arguments, ",\"Path\":");
    text_add_quoted(&arguments, place);
    text_add(&arguments, "}");
    Call call = call_begin(&(const About){.dll = "vmcompute",
                                          .name = "HNSCall",
                                          .arguments = arguments.data,
                                          .document = text && *text ? text : NULL});
    learn();
    Json *body = json_parse(text);
    state_lock();
    HRESULT served = call_refused(&call) ? S_OK : serve(verb, place, body);
    state_unlock();
    if (served == S_OK)
        text_add(&answer, "{\"Success\":true,\"Output\":{}}");
    else
        text_addf(&answer, "{\"Success\":false,\"Error\":\"%s\"}",
                  served == NOT_FOUND ? "Element not found. " : "Not found.");
    HRESULT result = CALL_RESULT(&call, S_OK);
    *response = result == S_OK ? wide_for_caller(answer.data) : NULL;
    call_end(&call, result, answer.data);
    json_free(body);
    free(arguments.data);
    free(answer.data);
    free(verb);
    free(place);
    free(text);
    return result;
}
