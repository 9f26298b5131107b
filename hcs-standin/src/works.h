/* What requests do: one function for each thing that HCS can be asked, whichever DLL asks. */

#ifndef STANDIN_WORKS_H
#define STANDIN_WORKS_H

#include "requests.h"

Work work_enumerate;
Work work_create;
Work work_start;
Work work_shutdown;
Work work_terminate;
Work work_crash;
Work work_pause;
Work work_resume;
Work work_save;
Work work_system_properties;
Work work_modify_system;
Work work_create_process;
Work work_terminate_process;
Work work_signal_process;
Work work_process_info;
Work work_process_properties;
Work work_modify_process;
Work work_service_properties;
Work work_modify_service;

/* Lets go of what a handle stood for; the Release of system and process handles. */
Release release_object;

#endif
