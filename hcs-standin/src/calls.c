#include "calls.h"

#include "trace.h"

Call call_begin(const About *about)
{
    Text line = {0};
    Call call;
    call.number = trace_begin(&line, "call");
    trace_string(&line, "dll", about->dll);
    trace_string(&line, "name", about->name);
    trace_string(&line, "system", about->system);
    if (about->process)
        text_addf(&line, ",\"process\":%lu", about->process);
    if (about->arguments)
        text_addf(&line, ",\"arguments\":%s", about->arguments);
    trace_string(&line, "document", about->document);
    trace_end(&line);
    call.fault = fault_for(about->name, about->system, about->document);
    if (call.fault.call_delay)
        Sleep(call.fault.call_delay);
    return call;
}

bool call_refused(const Call *call)
{
    return call->fault.stage == FAULT_CALL;
}

static void trace_outcome(const Call *call, const char *what, HRESULT result, const char *answer)
{
    Text line = {0};
    trace_begin(&line, what);
    text_addf(&line, ",\"call\":%u", call->number);
    trace_result(&line, result);
    trace_string(&line, "answer", answer);
    trace_end(&line);
}

HRESULT call_end(const Call *call, HRESULT result, const char *answer)
{
    trace_outcome(call, "return", result, answer);
    return result;
}

void call_completed(const Call *call, HRESULT result, const char *answer)
{
    trace_outcome(call, "completion", result, answer);
}
