"""The contract with containerd, as plain data: every message, field, number, type and method.

Written from containerd's published contract, not from our .proto files, so that a slip of the
hand in one shows against the other. A field is `name=number`, followed by its type unless that is
a string; `*` means repeated, `?` that presence is told; a map is `{key,value}`. Messages and enums
go by their last name.
"""

_TASK = {
    "CreateTaskRequest": "id=1 bundle=2 rootfs=3:*Mount terminal=4:bool stdin=5 stdout=6 stderr=7 "
    "checkpoint=8 parent_checkpoint=9 options=10:Any",
    "CreateTaskResponse": "pid=1:u32",
    "DeleteRequest": "id=1 exec_id=2",
    "DeleteResponse": "pid=1:u32 exit_status=2:u32 exited_at=3:Timestamp",
    "ExecProcessRequest": "id=1 exec_id=2 terminal=3:bool stdin=4 stdout=5 stderr=6 spec=7:Any",
    "ExecProcessResponse": "",
    "ResizePtyRequest": "id=1 exec_id=2 width=3:u32 height=4:u32",
    "StateRequest": "id=1 exec_id=2",
    "StateResponse": "id=1 bundle=2 pid=3:u32 status=4:Status stdin=5 stdout=6 stderr=7 "
    "terminal=8:bool exit_status=9:u32 exited_at=10:Timestamp exec_id=11",
    "KillRequest": "id=1 exec_id=2 signal=3:u32 all=4:bool",
    "CloseIORequest": "id=1 exec_id=2 stdin=3:bool",
    "PidsRequest": "id=1",
    "PidsResponse": "processes=1:*ProcessInfo",
    "CheckpointTaskRequest": "id=1 path=2 options=3:Any",
    "UpdateTaskRequest": "id=1 resources=2:Any annotations=3:{string,string}",
    "StartRequest": "id=1 exec_id=2",
    "StartResponse": "pid=1:u32",
    "WaitRequest": "id=1 exec_id=2",
    "WaitResponse": "exit_status=1:u32 exited_at=2:Timestamp",
    "StatsRequest": "id=1",
    "StatsResponse": "stats=1:Any",
    "ConnectRequest": "id=1",
    "ConnectResponse": "shim_pid=1:u32 task_pid=2:u32 version=3",
    "ShutdownRequest": "id=1 now=2:bool",
    "PauseRequest": "id=1",
    "ResumeRequest": "id=1",
}

_RDMA = {
    "RdmaStat": "current=1:*RdmaEntry limit=2:*RdmaEntry",
    "RdmaEntry": "device=1 hca_handles=2:u32 hca_objects=3:u32",
}

_NETWORK = (
    "name=1 rx_bytes=2:u64 rx_packets=3:u64 rx_errors=4:u64 rx_dropped=5:u64 "
    "tx_bytes=6:u64 tx_packets=7:u64 tx_errors=8:u64 tx_dropped=9:u64"
)

#: By module of podshim.api: its package, and its messages with their fields.
MESSAGES: dict[str, tuple[str, dict[str, str]]] = {
    "ttrpc": (
        "podshim.ttrpc",
        {
            "Request": "service=1 method=2 payload=3:bytes timeout_nano=4:i64 metadata=5:*KeyValue",
            "Response": "status=1:Status payload=2:bytes",
            "KeyValue": "key=1 value=2",
            "Status": "code=1:i32 message=2 details=3:*Any",
        },
    ),
    "types": (
        "containerd.types",
        {
            "Mount": "type=1 source=2 target=3 options=4:*string",
            "Platform": "os=1 architecture=2 variant=3 os_version=4 os_features=5:*string",
            "Metric": "timestamp=1:Timestamp id=2 data=3:Any",
            "Envelope": "timestamp=1:Timestamp namespace=2 topic=3 event=4:Any",
            "Sandbox": "sandbox_id=1 runtime=2:Runtime spec=3:Any labels=4:{string,string} "
            "created_at=5:Timestamp updated_at=6:Timestamp extensions=7:{string,Any} sandboxer=10",
            "Sandbox.Runtime": "name=1 options=2:Any",
            "RuntimeRequest": "runtime_path=1 options=2:Any",
            "RuntimeVersion": "version=1 revision=2",
            "RuntimeInfo": "name=1 version=2:RuntimeVersion options=3:Any features=4:Any "
            "annotations=5:{string,string}",
        },
    ),
    "task_types": (
        "containerd.v1.types",
        {
            "Process": "container_id=1 id=2 pid=3:u32 status=4:Status stdin=5 stdout=6 stderr=7 "
            "terminal=8:bool exit_status=9:u32 exited_at=10:Timestamp",
            "ProcessInfo": "pid=1:u32 info=2:Any",
        },
    ),
    "task_v2": ("containerd.task.v2", _TASK),
    "task_v3": ("containerd.task.v3", _TASK),
    "runc_options": (
        "containerd.runc.v1",
        {
            "Options": "no_pivot_root=1:bool no_new_keyring=2:bool shim_cgroup=3 io_uid=4:u32 "
            "io_gid=5:u32 binary_name=6 root=7 systemd_cgroup=9:bool criu_image_path=10 "
            "criu_work_path=11 task_api_address=12 task_api_version=13:u32",
            "CheckpointOptions": "exit=1:bool open_tcp=2:bool external_unix_sockets=3:bool "
            "terminal=4:bool file_locks=5:bool empty_namespaces=6:*string cgroups_mode=7 "
            "image_path=8 work_path=9 parent_path=10",
            "ProcessDetails": "exec_id=1",
        },
    ),
    "runtime_options": (
        "runtimeoptions.v1",
        {"Options": "type_url=1 config_path=2 config_body=3:bytes"},
    ),
    "events": (
        "containerd.events",
        {
            "TaskCreate": "container_id=1 bundle=2 rootfs=3:*Mount io=4:TaskIO checkpoint=5 "
            "pid=6:u32",
            "TaskStart": "container_id=1 pid=2:u32",
            "TaskDelete": "container_id=1 pid=2:u32 exit_status=3:u32 exited_at=4:Timestamp id=5",
            "TaskIO": "stdin=1 stdout=2 stderr=3 terminal=4:bool",
            "TaskExit": "container_id=1 id=2 pid=3:u32 exit_status=4:u32 exited_at=5:Timestamp",
            "TaskOOM": "container_id=1",
            "TaskExecAdded": "container_id=1 exec_id=2",
            "TaskExecStarted": "container_id=1 exec_id=2 pid=3:u32",
            "TaskPaused": "container_id=1",
            "TaskResumed": "container_id=1",
            "TaskCheckpointed": "container_id=1 checkpoint=2",
            "SandboxCreate": "sandbox_id=1",
            "SandboxStart": "sandbox_id=1",
            "SandboxExit": "sandbox_id=1 exit_status=2:u32 exited_at=3:Timestamp",
        },
    ),
    "events_service": (
        "containerd.services.events.ttrpc.v1",
        {"ForwardRequest": "envelope=1:Envelope"},
    ),
    "bootstrap_v1": (
        "containerd.runtime.bootstrap.v1",
        {
            "BootstrapParams": "instance_id=1 namespace=2 log_level=3:LogLevel "
            "containerd_version=4 containerd_ttrpc_address=5 containerd_grpc_address=6 "
            "containerd_binary=7 extensions=8:*Extension socket_dir=9:?string",
            "Extension": "value=1:Any",
            "BootstrapResult": "version=1:i32 address=2 protocol=3 capabilities=4:*Capability "
            "metadata=5:{string,string}",
        },
    ),
    "sandbox_v1": (
        "containerd.runtime.sandbox.v1",
        {
            "CreateSandboxRequest": "sandbox_id=1 bundle_path=2 rootfs=3:*Mount options=4:Any "
            "netns_path=5 annotations=6:{string,string}",
            "CreateSandboxResponse": "",
            "StartSandboxRequest": "sandbox_id=1",
            "StartSandboxResponse": "pid=1:u32 created_at=2:Timestamp spec=3:Any",
            "PlatformRequest": "sandbox_id=1",
            "PlatformResponse": "platform=1:Platform",
            "StopSandboxRequest": "sandbox_id=1 timeout_secs=2:u32",
            "StopSandboxResponse": "",
            "UpdateSandboxRequest": "sandbox_id=1 resources=2:Any annotations=3:{string,string}",
            "UpdateSandboxResponse": "",
            "WaitSandboxRequest": "sandbox_id=1",
            "WaitSandboxResponse": "exit_status=1:u32 exited_at=2:Timestamp",
            "SandboxStatusRequest": "sandbox_id=1 verbose=2:bool",
            "SandboxStatusResponse": "sandbox_id=1 pid=2:u32 state=3 info=4:{string,string} "
            "created_at=5:Timestamp exited_at=6:Timestamp extra=7:Any",
            "PingRequest": "sandbox_id=1",
            "PingResponse": "",
            "ShutdownSandboxRequest": "sandbox_id=1",
            "ShutdownSandboxResponse": "",
            "SandboxMetricsRequest": "sandbox_id=1",
            "SandboxMetricsResponse": "metrics=1:Metric",
        },
    ),
    "streaming": ("containerd.services.streaming.v1", {"StreamInit": "id=1"}),
    "transfer": (
        "containerd.types.transfer",
        {"Data": "data=1:bytes", "WindowUpdate": "update=1:i32"},
    ),
    "cgroups_v1": (
        "io.containerd.cgroups.v1",
        {
            "Metrics": "hugetlb=1:*HugetlbStat pids=2:PidsStat cpu=3:CPUStat memory=4:MemoryStat "
            "blkio=5:BlkIOStat rdma=6:RdmaStat network=7:*NetworkStat cgroup_stats=8:CgroupStats "
            "memory_oom_control=9:MemoryOomControl",
            "HugetlbStat": "usage=1:u64 max=2:u64 failcnt=3:u64 pagesize=4",
            "PidsStat": "current=1:u64 limit=2:u64",
            "CPUStat": "usage=1:CPUUsage throttling=2:Throttle",
            "CPUUsage": "total=1:u64 kernel=2:u64 user=3:u64 per_cpu=4:*u64",
            "Throttle": "periods=1:u64 throttled_periods=2:u64 throttled_time=3:u64",
            "MemoryStat": "cache=1:u64 rss=2:u64 rss_huge=3:u64 mapped_file=4:u64 dirty=5:u64 "
            "writeback=6:u64 pg_pg_in=7:u64 pg_pg_out=8:u64 pg_fault=9:u64 pg_maj_fault=10:u64 "
            "inactive_anon=11:u64 active_anon=12:u64 inactive_file=13:u64 active_file=14:u64 "
            "unevictable=15:u64 hierarchical_memory_limit=16:u64 hierarchical_swap_limit=17:u64 "
            "total_cache=18:u64 total_rss=19:u64 total_rss_huge=20:u64 total_mapped_file=21:u64 "
            "total_dirty=22:u64 total_writeback=23:u64 total_pg_pg_in=24:u64 "
            "total_pg_pg_out=25:u64 total_pg_fault=26:u64 total_pg_maj_fault=27:u64 "
            "total_inactive_anon=28:u64 total_active_anon=29:u64 total_inactive_file=30:u64 "
            "total_active_file=31:u64 total_unevictable=32:u64 usage=33:MemoryEntry "
            "swap=34:MemoryEntry kernel=35:MemoryEntry kernel_tcp=36:MemoryEntry",
            "MemoryEntry": "limit=1:u64 usage=2:u64 max=3:u64 failcnt=4:u64",
            "MemoryOomControl": "oom_kill_disable=1:u64 under_oom=2:u64 oom_kill=3:u64",
            "BlkIOStat": "io_service_bytes_recursive=1:*BlkIOEntry "
            "io_serviced_recursive=2:*BlkIOEntry io_queued_recursive=3:*BlkIOEntry "
            "io_service_time_recursive=4:*BlkIOEntry io_wait_time_recursive=5:*BlkIOEntry "
            "io_merged_recursive=6:*BlkIOEntry io_time_recursive=7:*BlkIOEntry "
            "sectors_recursive=8:*BlkIOEntry",
            "BlkIOEntry": "op=1 device=2 major=3:u64 minor=4:u64 value=5:u64",
            **_RDMA,
            "NetworkStat": _NETWORK,
            "CgroupStats": "nr_sleeping=1:u64 nr_running=2:u64 nr_stopped=3:u64 "
            "nr_uninterruptible=4:u64 nr_io_wait=5:u64",
        },
    ),
    "cgroups_v2": (
        "io.containerd.cgroups.v2",
        {
            "Metrics": "pids=1:PidsStat cpu=2:CPUStat memory=4:MemoryStat rdma=5:RdmaStat "
            "io=6:IOStat hugetlb=7:*HugeTlbStat memory_events=8:MemoryEvents "
            "network=9:*NetworkStat",
            "PSIData": "avg10=1:double avg60=2:double avg300=3:double total=4:u64",
            "PSIStats": "some=1:PSIData full=2:PSIData",
            "PidsStat": "current=1:u64 limit=2:u64",
            "CPUStat": "usage_usec=1:u64 user_usec=2:u64 system_usec=3:u64 nr_periods=4:u64 "
            "nr_throttled=5:u64 throttled_usec=6:u64 psi=7:PSIStats nr_bursts=8:u64 "
            "burst_usec=9:u64",
            "MemoryStat": "anon=1:u64 file=2:u64 kernel_stack=3:u64 slab=4:u64 sock=5:u64 "
            "shmem=6:u64 file_mapped=7:u64 file_dirty=8:u64 file_writeback=9:u64 anon_thp=10:u64 "
            "inactive_anon=11:u64 active_anon=12:u64 inactive_file=13:u64 active_file=14:u64 "
            "unevictable=15:u64 slab_reclaimable=16:u64 slab_unreclaimable=17:u64 pgfault=18:u64 "
            "pgmajfault=19:u64 workingset_refault=20:u64 workingset_activate=21:u64 "
            "workingset_nodereclaim=22:u64 pgrefill=23:u64 pgscan=24:u64 pgsteal=25:u64 "
            "pgactivate=26:u64 pgdeactivate=27:u64 pglazyfree=28:u64 pglazyfreed=29:u64 "
            "thp_fault_alloc=30:u64 thp_collapse_alloc=31:u64 usage=32:u64 usage_limit=33:u64 "
            "swap_usage=34:u64 swap_limit=35:u64 max_usage=36:u64 swap_max_usage=37:u64 "
            "psi=38:PSIStats",
            "MemoryEvents": "low=1:u64 high=2:u64 max=3:u64 oom=4:u64 oom_kill=5:u64 "
            "oom_group_kill=6:u64",
            **_RDMA,
            "IOStat": "usage=1:*IOEntry psi=2:PSIStats",
            "IOEntry": "major=1:u64 minor=2:u64 rbytes=3:u64 wbytes=4:u64 rios=5:u64 wios=6:u64",
            "HugeTlbStat": "current=1:u64 max=2:u64 pagesize=3 failcnt=4:u64",
            "NetworkStat": _NETWORK,
        },
    ),
    "runhcs_options": (
        "containerd.runhcs.v1",
        {
            "Options": "debug=1:bool debug_type=2:DebugType registry_root=3 sandbox_image=4 "
            "sandbox_platform=5 sandbox_isolation=6:SandboxIsolation boot_files_root_path=7 "
            "vm_processor_count=8:i32 vm_memory_size_in_mb=9:i32 GPUVHDPath=10 "
            "scale_cpu_limits_to_sandbox=11:bool default_container_scratch_size_in_gb=12:i32 "
            "default_vm_scratch_size_in_gb=13:i32 share_scratch=14:bool NCProxyAddr=15 "
            "log_level=16 io_retry_timeout_in_sec=17:i32 "
            "default_container_annotations=18:{string,string} no_inherit_host_timezone=19:bool "
            "scrub_logs=20:?bool",
            "ProcessDetails": "image_name=1 created_at=2:Timestamp kernel_time_100_ns=3:u64 "
            "memory_commit_bytes=4:u64 memory_working_set_private_bytes=5:u64 "
            "memory_working_set_shared_bytes=6:u64 process_id=7:u32 user_time_100_ns=8:u64 "
            "exec_id=9",
        },
    ),
    "runhcs_stats": (
        "containerd.runhcs.stats.v1",
        {
            "Statistics": "windows=1:WindowsContainerStatistics linux=2:Metrics "
            "vm=3:VirtualMachineStatistics",
            "WindowsContainerStatistics": "timestamp=1:Timestamp container_start_time=2:Timestamp "
            "uptime_ns=3:u64 processor=4:WindowsContainerProcessorStatistics "
            "memory=5:WindowsContainerMemoryStatistics "
            "storage=6:WindowsContainerStorageStatistics",
            "WindowsContainerProcessorStatistics": "total_runtime_ns=1:u64 runtime_user_ns=2:u64 "
            "runtime_kernel_ns=3:u64",
            "WindowsContainerMemoryStatistics": "memory_usage_commit_bytes=1:u64 "
            "memory_usage_commit_peak_bytes=2:u64 memory_usage_private_working_set_bytes=3:u64",
            "WindowsContainerStorageStatistics": "read_count_normalized=1:u64 "
            "read_size_bytes=2:u64 write_count_normalized=3:u64 write_size_bytes=4:u64",
            "VirtualMachineStatistics": "processor=1:VirtualMachineProcessorStatistics "
            "memory=2:VirtualMachineMemoryStatistics",
            "VirtualMachineProcessorStatistics": "total_runtime_ns=1:u64",
            "VirtualMachineMemoryStatistics": "working_set_bytes=1:u64 virtual_node_count=2:u32 "
            "vm_memory=3:VirtualMachineMemory",
            "VirtualMachineMemory": "available_memory=1:i32 available_memory_buffer=2:i32 "
            "reserved_memory=3:u64 assigned_memory=4:u64 slp_active=5:bool "
            "balancing_enabled=6:bool dm_operation_in_progress=7:bool",
        },
    ),
    "runhcs_diag": (
        "containerd.runhcs.v1.diag",
        {
            "ExecProcessRequest": "args=1:*string workdir=2 terminal=3:bool stdin=4 stdout=5 "
            "stderr=6",
            "ExecProcessResponse": "exit_code=1:i32",
            "StacksRequest": "",
            "StacksResponse": "stacks=1 guest_stacks=2",
            "TasksRequest": "execs=1:bool",
            "TasksResponse": "tasks=1:*Task",
            "Task": "id=1 execs=2:*Exec",
            "Exec": "id=1 state=2",
            "ShareRequest": "host_path=1 uvm_path=2 read_only=3:bool",
            "ShareResponse": "",
            "PidRequest": "",
            "PidResponse": "pid=1:i32",
        },
    ),
    "extended_task": (
        "",
        {"ComputeProcessorInfoRequest": "id=1", "ComputeProcessorInfoResponse": "count=1:i32"},
    ),
    "computeagent": (
        "",
        {
            "AddNICInternalRequest": "container_id=1 nic_id=2 endpoint=3:Any",
            "AddNICInternalResponse": "",
            "ModifyNICInternalRequest": "nic_id=1 endpoint=2:Any iov_policy_settings=3:IovSettings",
            "ModifyNICInternalResponse": "",
            "DeleteNICInternalRequest": "container_id=1 nic_id=2 endpoint=3:Any",
            "DeleteNICInternalResponse": "",
            "AssignPCIInternalRequest": (
                "container_id=1 device_id=2 virtual_function_index=3:u32 nic_id=4"
            ),
            "AssignPCIInternalResponse": "id=1",
            "RemovePCIInternalRequest": "container_id=1 device_id=2 virtual_function_index=3:u32",
            "RemovePCIInternalResponse": "",
            "IovSettings": (
                "IovOffloadWeight=1:u32 QueuePairsRequested=2:u32 InterruptModeration=3:u32"
            ),
        },
    ),
    "ncproxy": (
        "",
        {
            "RegisterComputeAgentRequest": "agent_address=1 container_id=2",
            "RegisterComputeAgentResponse": "",
            "UnregisterComputeAgentRequest": "container_id=1",
            "UnregisterComputeAgentResponse": "",
            "ConfigureNetworkingInternalRequest": (
                "container_id=1 request_type=2:RequestTypeInternal"
            ),
            "ConfigureNetworkingInternalResponse": "",
        },
    ),
}

#: By module: enums with their values.
ENUMS: dict[str, dict[str, dict[str, int]]] = {
    "ncproxy": {"RequestTypeInternal": {"Setup": 0, "Teardown": 1}},
    "task_types": {
        "Status": {
            "UNKNOWN": 0,
            "CREATED": 1,
            "RUNNING": 2,
            "STOPPED": 3,
            "PAUSED": 4,
            "PAUSING": 5,
        }
    },
    "bootstrap_v1": {
        "LogLevel": {
            "LOG_LEVEL_INFO": 0,
            "LOG_LEVEL_TRACE": -8,
            "LOG_LEVEL_DEBUG": -4,
            "LOG_LEVEL_WARN": 4,
            "LOG_LEVEL_ERROR": 8,
            "LOG_LEVEL_FATAL": 10,
            "LOG_LEVEL_PANIC": 12,
        },
        "Capability": {"CAPABILITY_UNSPECIFIED": 0},
    },
    "runhcs_options": {
        "Options.DebugType": {"NPIPE": 0, "FILE": 1, "ETW": 2},
        "Options.SandboxIsolation": {"PROCESS": 0, "HYPERVISOR": 1},
    },
}

_TASK_METHODS = (
    "State(StateRequest) StateResponse, Create(CreateTaskRequest) CreateTaskResponse, "
    "Start(StartRequest) StartResponse, Delete(DeleteRequest) DeleteResponse, "
    "Pids(PidsRequest) PidsResponse, Pause(PauseRequest) Empty, Resume(ResumeRequest) Empty, "
    "Checkpoint(CheckpointTaskRequest) Empty, Kill(KillRequest) Empty, "
    "Exec(ExecProcessRequest) Empty, ResizePty(ResizePtyRequest) Empty, "
    "CloseIO(CloseIORequest) Empty, Update(UpdateTaskRequest) Empty, "
    "Wait(WaitRequest) WaitResponse, Stats(StatsRequest) StatsResponse, "
    "Connect(ConnectRequest) ConnectResponse, Shutdown(ShutdownRequest) Empty"
)

#: By module: the full name of its service, and the methods in their order; `*` is a stream.
SERVICES: dict[str, tuple[str, str]] = {
    "task_v2": ("containerd.task.v2.Task", _TASK_METHODS),
    "task_v3": ("containerd.task.v3.Task", _TASK_METHODS),
    "events_service": (
        "containerd.services.events.ttrpc.v1.Events",
        "Forward(ForwardRequest) Empty",
    ),
    "sandbox_v1": (
        "containerd.runtime.sandbox.v1.Sandbox",
        (
            "CreateSandbox(CreateSandboxRequest) CreateSandboxResponse, "
            "StartSandbox(StartSandboxRequest) StartSandboxResponse, "
            "Platform(PlatformRequest) PlatformResponse, "
            "StopSandbox(StopSandboxRequest) StopSandboxResponse, "
            "WaitSandbox(WaitSandboxRequest) WaitSandboxResponse, "
            "SandboxStatus(SandboxStatusRequest) SandboxStatusResponse, "
            "PingSandbox(PingRequest) PingResponse, "
            "ShutdownSandbox(ShutdownSandboxRequest) ShutdownSandboxResponse, "
            "SandboxMetrics(SandboxMetricsRequest) SandboxMetricsResponse"
        ),
    ),
    "streaming": ("containerd.services.streaming.v1.Streaming", "Stream(*Any) *Any"),
    "runhcs_diag": (
        "containerd.runhcs.v1.diag.ShimDiag",
        (
            "DiagExecInHost(ExecProcessRequest) ExecProcessResponse, "
            "DiagStacks(StacksRequest) StacksResponse, DiagTasks(TasksRequest) TasksResponse, "
            "DiagShare(ShareRequest) ShareResponse, DiagPid(PidRequest) PidResponse"
        ),
    ),
    "extended_task": (
        "ExtendedTask",
        "ComputeProcessorInfo(ComputeProcessorInfoRequest) ComputeProcessorInfoResponse",
    ),
    "computeagent": (
        "ComputeAgent",
        (
            "AddNIC(AddNICInternalRequest) AddNICInternalResponse, "
            "ModifyNIC(ModifyNICInternalRequest) ModifyNICInternalResponse, "
            "DeleteNIC(DeleteNICInternalRequest) DeleteNICInternalResponse, "
            "AssignPCI(AssignPCIInternalRequest) AssignPCIInternalResponse, "
            "RemovePCI(RemovePCIInternalRequest) RemovePCIInternalResponse"
        ),
    ),
    "ncproxy": (
        "NetworkConfigProxy",
        (
            "RegisterComputeAgent(RegisterComputeAgentRequest) RegisterComputeAgentResponse, "
            "UnregisterComputeAgent(UnregisterComputeAgentRequest)"
            " UnregisterComputeAgentResponse, "
            "ConfigureNetworking(ConfigureNetworkingInternalRequest)"
            " ConfigureNetworkingInternalResponse"
        ),
    ),
}
