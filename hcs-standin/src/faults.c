/* A rule is an object; README.md describes its members. Its uses are counted by its place in the
 * list, in each process on its own, and from the beginning again when the file changes. */

#include "faults.h"

#include <stdlib.h>
#include <string.h>

#include "config.h"

enum { MOST_RULES = 256 };

static unsigned seen[MOST_RULES];
static unsigned counted_version;
static SRWLOCK counting = SRWLOCK_INIT;

static bool fits(const Json *rule, const char *name, const char *system, const char *document)
{
    const char *wanted = json_string(rule, "call", "*");
    if (strcmp(wanted, "*") != 0 && _stricmp(wanted, name) != 0)
        return false;
    wanted = json_string(rule, "system", NULL);
    if (wanted && (!system || strcmp(wanted, system) != 0))
        return false;
    wanted = json_string(rule, "contains", NULL);
    return !wanted || (document && strstr(document, wanted));
}

/* Whether this use of a fitting rule is one of those that it wants. */
static bool due(const Json *rule, unsigned index)
{
    unsigned use = seen[index]++;
    unsigned skip = (unsigned)json_number(rule, "skip", 0);
    return use >= skip && use - skip < (unsigned)json_number(rule, "times", 4294967295.0);
}

static DWORD milliseconds(const Json *rule, const char *name)
{
    double value = json_number(rule, name, 0);
    return value <= 0 ? 0 : value > 86400000.0 ? 86400000 : (DWORD)value;
}

static FaultStage stage_of(const Json *rule)
{
    const char *stage = json_string(rule, "stage", "call");
    if (!json_string(rule, "result", NULL))
        return FAULT_NONE;
    if (strcmp(stage, "completion") == 0)
        return FAULT_COMPLETION;
    return strcmp(stage, "after") == 0 ? FAULT_AFTER : FAULT_CALL;
}

static Fault fault_of(const Json *rule)
{
    Fault fault = {
        .stage = stage_of(rule),
        .result = (HRESULT)strtoul(json_string(rule, "result", "0"), NULL, 16),
        .call_delay = milliseconds(rule, "call_delay_ms"),
        .delay = milliseconds(rule, "delay_ms"),
        .never = json_true(rule, "never"),
        .exit_first = json_true(rule, "exit_first"),
        .disconnect = json_true(rule, "disconnect"),
    };
    strncpy(fault.answer, json_string(rule, "answer", ""), sizeof fault.answer - 1);
    return fault;
}

Fault fault_for(const char *name, const char *system, const char *document)
{
    Fault fault = {0};
    unsigned version;
    Json *config = config_read(&version);
    const Json *rules = json_member(config, "faults");
    AcquireSRWLockExclusive(&counting);
    if (version != counted_version) {
        memset(seen, 0, sizeof seen);
        counted_version = version;
    }
    unsigned index = 0;
    for (const Json *rule = rules ? rules->first : NULL; rule; rule = rule->next, index++) {
        if (index < MOST_RULES && fits(rule, name, system, document) && due(rule, index)) {
            fault = fault_of(rule);
            break;
        }
    }
    ReleaseSRWLockExclusive(&counting);
    json_free(config);
    return fault;
}
