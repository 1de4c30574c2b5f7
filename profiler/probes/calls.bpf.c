// Socket calls and wake-ups of chosen processes, for bursts of some milliseconds.
//
// Purpose: user space pairs reads with the writes that follow them. One record for each read or write that moved data,
// with its file descriptor, one for each event wait begun, and one for each read or event wait that returned something
// after a wake-up, with the CPU of the waker, into a per-CPU region of one memory-mapped array.
// Threads are known by their task pointer, learnt at their first system call in a burst and kept for the next bursts. A
// wake-up is noted at sched_waking, on the CPU of the waker, and read at the end of the system call that slept, which
// spares a probe at each switch. Of several wake-ups within one call only the last is recorded.
// Caveats: system calls of all other processes pass here too while it is attached, and cost one look-up. The descriptor
// is the first argument; its place and that of the call's number in the saved registers are part of the kernel's
// interface. No other structure is read, so any kernel headers will do. read and write of files are recorded as well:
// user space knows what is a socket.
//
// Parameters: CAPACITY records per CPU, NCPU processors, FD_OFFSET and NUMBER_OFFSET of the first argument and of the
// system call's number in the saved registers, IS_READ(n), IS_WRITE(n) and IS_WAIT(n), whether system call n is of the
// family.

#define KIND_NONE 0
#define KIND_READ 1
#define KIND_WRITE 2
#define KIND_WAIT 3
#define KIND_WAKE_UP 4 // fd: the CPU of the waker, bytes: the CPU that the thread then ran on

struct call {
    u64 start_ns;
    u32 duration_ns;
    u32 process;
    u32 thread;
    s32 fd;
    u32 kind;
    s32 bytes;
};

struct thread {
    u64 start_ns; // of the read or write that it is in
    s32 fd;
    u32 kind;
    u64 burst; // in which that call began
    u64 woken; // number of the burst and CPU of the waker, or 0
};

struct cpu {
    u64 next;               // position of the next record in this CPU's region
    u64 burst;              // its number, from 1: what is left of earlier bursts is known by it
    u64 hits;               // of system calls, by the chosen processes
    u64 other_hits;         // by all others
    u64 waking_hits;        // of wake-ups, while a chosen process runs here
    u64 other_waking_hits;  // at all other times
};

BPF_F_TABLE("array", u32, struct call, calls, CAPACITY *NCPU, BPF_F_MMAPABLE);
BPF_PERCPU_ARRAY(cpus, struct cpu, 1);
BPF_HASH(processes, u32, u32, 1024); // process ids to look at
BPF_TABLE("lru_hash", u64, struct thread, threads, 16384); // task pointer -> thread of these processes

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

static __always_inline struct thread *running_thread(void)
{
    u64 task = bpf_get_current_task();
    struct thread *thread = threads.lookup(&task);
    if (thread)
        return thread;
    struct thread new = {};
    threads.update(&task, &new);
    return threads.lookup(&task);
}

// Record the wake-up that ended the system call `number`.
static __always_inline void emit_wake_up(struct cpu *cpu, struct bpf_raw_tracepoint_args *ctx, u64 woken)
{
    u64 number = 0;
    bpf_probe_read_kernel(&number, sizeof(number), (void *)(ctx->args[0] + NUMBER_OFFSET));
    if (!IS_READ(number) && !IS_WAIT(number))
        return;
    u64 id = bpf_get_current_pid_tgid();
    struct call call = {.start_ns = bpf_ktime_get_ns(), .process = id >> 32, .thread = id, .fd = (u32)woken,
                        .kind = KIND_WAKE_UP, .bytes = bpf_get_smp_processor_id()};
    emit(cpu, &call);
}

int on_sys_enter(struct bpf_raw_tracepoint_args *ctx)
{
    u64 id = bpf_get_current_pid_tgid();
    struct cpu *cpu = count(id >> 32);
    if (!cpu)
        return 0;
    struct thread *thread = running_thread();
    if (!thread)
        return 0;
    u32 number = ctx->args[1];
    u32 kind = IS_READ(number) ? KIND_READ : IS_WRITE(number) ? KIND_WRITE : KIND_NONE;
    thread->kind = kind;
    if (IS_WAIT(number)) {
        struct call call = {.start_ns = bpf_ktime_get_ns(), .process = id >> 32, .thread = id, .fd = -1,
                            .kind = KIND_WAIT};
        emit(cpu, &call);
        return 0;
    }
    if (kind == KIND_NONE)
        return 0;
    u64 fd = 0;
    bpf_probe_read_kernel(&fd, sizeof(fd), (void *)(ctx->args[0] + FD_OFFSET));
    thread->fd = fd;
    thread->burst = cpu->burst;
    thread->start_ns = bpf_ktime_get_ns();
    return 0;
}

int on_sys_exit(struct bpf_raw_tracepoint_args *ctx)
{
    u64 id = bpf_get_current_pid_tgid();
    struct cpu *cpu = count(id >> 32);
    if (!cpu)
        return 0;
    struct thread *thread = running_thread();
    if (!thread)
        return 0;
    u32 kind = thread->burst == cpu->burst ? thread->kind : KIND_NONE;
    u64 woken = thread->woken;
    thread->kind = KIND_NONE;
    thread->woken = 0;
    s64 returned = ctx->args[1];
    if (returned <= 0)
        return 0;
    if (woken >> 32 == cpu->burst)
        emit_wake_up(cpu, ctx, woken);
    if (kind == KIND_NONE)
        return 0;
    struct call call = {.start_ns = thread->start_ns, .process = id >> 32, .thread = id, .fd = thread->fd,
                        .kind = kind};
    call.duration_ns = bpf_ktime_get_ns() - call.start_ns;
    call.bytes = returned;
    emit(cpu, &call);
    return 0;
}

// Fires for every task of the machine, on the CPU of the waker, also within interrupts.
int on_sched_waking(struct bpf_raw_tracepoint_args *ctx)
{
    u32 zero = 0, process = bpf_get_current_pid_tgid() >> 32;
    struct cpu *cpu = cpus.lookup(&zero);
    if (!cpu)
        return 0;
    if (processes.lookup(&process))
        cpu->waking_hits++;
    else
        cpu->other_waking_hits++;
    u64 task = ctx->args[0];
    struct thread *thread = threads.lookup(&task);
    if (thread)
        thread->woken = cpu->burst << 32 | bpf_get_smp_processor_id();
    return 0;
}
