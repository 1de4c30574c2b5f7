// Socket calls of chosen processes, for bursts of some milliseconds.
//
// Purpose: user space pairs reads with the writes that follow them. One record for each read or write that moved data,
// with its file descriptor, and one for each event wait begun, into a per-CPU region of one memory-mapped array.
// Caveats: system calls of all other processes pass here too while it is attached, and cost one look-up. The descriptor
// is the first argument, whose place in the saved registers is part of the kernel's interface; no other structure is
// read, so any kernel headers will do. read and write of files are recorded as well: user space knows what is a socket.
//
// Parameters: CAPACITY records per CPU, NCPU processors, FD_OFFSET of the first argument in the saved registers,
// IS_READ(n), IS_WRITE(n) and IS_WAIT(n), whether system call n is of the family.

#define KIND_NONE 0
#define KIND_READ 1
#define KIND_WRITE 2
#define KIND_WAIT 3

struct call {
    u64 start_ns;
    u32 duration_ns;
    u32 process;
    u32 thread;
    s32 fd;
    u32 kind;
    s32 bytes;
};

struct pending {
    u64 start_ns;
    s32 fd;
    u32 kind;
};

struct cpu {
    u64 next;        // position of the next record in this CPU's region
    u64 hits;        // of the chosen processes
    u64 other_hits;  // of all others
};

BPF_F_TABLE("array", u32, struct call, calls, CAPACITY *NCPU, BPF_F_MMAPABLE);
BPF_PERCPU_ARRAY(cpus, struct cpu, 1);
BPF_HASH(processes, u32, u32, 1024);           // process ids to look at
BPF_HASH(pendings, u32, struct pending, 16384); // thread id -> the call it is in

static __always_inline void emit(struct cpu *cpu, struct call *call)
{
    u64 position = cpu->next;
    cpu->next = position + 1;
    if (position >= CAPACITY)
        return;
    u32 index = bpf_get_smp_processor_id() * CAPACITY + position;
    struct call *place = calls.lookup(&index);
    if (place)
        *place = *call;
}

static __always_inline struct cpu *count(u32 process)
{
    u32 zero = 0;
    struct cpu *cpu = cpus.lookup(&zero);
    if (!cpu)
        return 0;
    if (!processes.lookup(&process)) {
        cpu->other_hits++;
        return 0;
    }
    cpu->hits++;
    return cpu;
}

int on_sys_enter(struct bpf_raw_tracepoint_args *ctx)
{
    u64 id = bpf_get_current_pid_tgid();
    struct cpu *cpu = count(id >> 32);
    if (!cpu)
        return 0;
    u32 number = ctx->args[1], thread = id;
    if (IS_WAIT(number)) {
        struct call call = {.start_ns = bpf_ktime_get_ns(), .process = id >> 32, .thread = thread, .fd = -1,
                            .kind = KIND_WAIT};
        emit(cpu, &call);
        return 0;
    }
    u32 kind = IS_READ(number) ? KIND_READ : IS_WRITE(number) ? KIND_WRITE : KIND_NONE;
    if (kind == KIND_NONE)
        return 0;
    u64 fd = 0;
    bpf_probe_read_kernel(&fd, sizeof(fd), (void *)(ctx->args[0] + FD_OFFSET));
    struct pending pending = {.start_ns = bpf_ktime_get_ns(), .fd = fd, .kind = kind};
    pendings.update(&thread, &pending);
    return 0;
}

int on_sys_exit(struct bpf_raw_tracepoint_args *ctx)
{
    u64 id = bpf_get_current_pid_tgid();
    struct cpu *cpu = count(id >> 32);
    if (!cpu)
        return 0;
    u32 thread = id;
    struct pending *pending = pendings.lookup(&thread);
    if (!pending || pending->kind == KIND_NONE)
        return 0;
    struct call call = {.start_ns = pending->start_ns, .process = id >> 32, .thread = thread, .fd = pending->fd,
                        .kind = pending->kind};
    pending->kind = KIND_NONE;
    s64 returned = ctx->args[1];
    if (returned <= 0)
        return 0;
    call.duration_ns = bpf_ktime_get_ns() - call.start_ns;
    call.bytes = returned;
    emit(cpu, &call);
    return 0;
}
