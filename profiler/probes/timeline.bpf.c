// Message timeline: every state change of the traced threads, in order, with nanosecond stamps.
//
// Purpose: user space rebuilds from it who held the message when. Events go to a per-CPU region of one memory-mapped
// array and are read after the window, so nothing is drained while it is measured.
// Caveats: reads no kernel structure (threads are known by their task pointer, learnt at their first system call), so
// it needs no matching headers; a full region drops events, which are still counted. Each CPU remembers the traced
// thread that runs on it from switch to switch, so that the frequent probes need no search.
//
// Parameters: CAPACITY events per CPU, NCPU processors.

struct event {
    u64 stamp_ns;
    u32 tid;
    u32 kind_value; // kind in the upper 4 bits, value in the lower 28
};

#define SYSCALL_ENTER 1 // value: system call number
#define SYSCALL_EXIT 2  // value: return value
#define SOFTIRQ_ENTER 3
#define SOFTIRQ_EXIT 4
#define WAKING 5     // tid: the thread woken, value: the traced thread that runs here, or 0
#define SWITCH_OUT 6 // value: 0 if it stays runnable
#define SWITCH_IN 7
#define NET_RX 3

struct cpu {
    u64 next;    // position of the next event in this CPU's region
    u64 running; // thread id of the traced thread that runs here, or 0
};

BPF_F_TABLE("array", u32, struct event, events, CAPACITY *NCPU, BPF_F_MMAPABLE);
BPF_PERCPU_ARRAY(cpus, struct cpu, 1);
BPF_HASH(places, u32, u32, 256);         // process id -> place number
BPF_HASH(threads, u64, u32, 1024);       // task pointer -> thread id
BPF_HASH(thread_places, u32, u32, 1024); // thread id -> place number

static __always_inline struct cpu *this_cpu(void)
{
    int zero = 0;
    return cpus.lookup(&zero);
}

static __always_inline void emit(struct cpu *cpu, u32 kind, u32 tid, u32 value)
{
    u64 position = cpu->next;
    cpu->next = position + 1;
    if (position >= CAPACITY)
        return;
    u32 index = bpf_get_smp_processor_id() * CAPACITY + position;
    struct event *event = events.lookup(&index);
    if (!event)
        return;
    event->stamp_ns = bpf_ktime_get_ns();
    event->tid = tid;
    event->kind_value = (kind << 28) | (value & 0xfffffff);
}

static __always_inline u32 thread_of(u64 task)
{
    u32 *tid = threads.lookup(&task);
    return tid ? *tid : 0;
}

// The thread that makes a system call here, learnt now if it belongs to a traced process and is new.
static __always_inline u32 learn_running(struct cpu *cpu)
{
    u64 task = bpf_get_current_task();
    u64 id = bpf_get_current_pid_tgid();
    u32 tid = id, process = id >> 32;
    u32 *place = places.lookup(&process);
    if (!place)
        return 0;
    thread_places.update(&tid, place);
    threads.update(&task, &tid);
    cpu->running = tid;
    return tid;
}

int on_sys_enter(struct bpf_raw_tracepoint_args *ctx)
{
    struct cpu *cpu = this_cpu();
    if (!cpu)
        return 0;
    u32 tid = cpu->running ? cpu->running : learn_running(cpu);
    if (tid)
        emit(cpu, SYSCALL_ENTER, tid, ctx->args[1]);
    return 0;
}

int on_sys_exit(struct bpf_raw_tracepoint_args *ctx)
{
    struct cpu *cpu = this_cpu();
    if (cpu && cpu->running)
        emit(cpu, SYSCALL_EXIT, cpu->running, ctx->args[1]);
    return 0;
}

static __always_inline int on_softirq(struct bpf_raw_tracepoint_args *ctx, u32 kind)
{
    if ((u32)ctx->args[0] != NET_RX)
        return 0;
    struct cpu *cpu = this_cpu();
    if (cpu && cpu->running)
        emit(cpu, kind, cpu->running, 0);
    return 0;
}

int on_softirq_entry(struct bpf_raw_tracepoint_args *ctx)
{
    return on_softirq(ctx, SOFTIRQ_ENTER);
}

int on_softirq_exit(struct bpf_raw_tracepoint_args *ctx)
{
    return on_softirq(ctx, SOFTIRQ_EXIT);
}

int on_sched_waking(struct bpf_raw_tracepoint_args *ctx)
{
    struct cpu *cpu = this_cpu();
    u32 woken = cpu ? thread_of(ctx->args[0]) : 0;
    if (woken)
        emit(cpu, WAKING, woken, cpu->running);
    return 0;
}

int on_sched_switch(struct bpf_raw_tracepoint_args *ctx)
{
    struct cpu *cpu = this_cpu();
    if (!cpu)
        return 0;
    if (cpu->running) // a preempted thread stays runnable whatever its state says
        emit(cpu, SWITCH_OUT, cpu->running, ctx->args[0] ? 0 : ctx->args[3]);
    cpu->running = thread_of(ctx->args[2]);
    if (cpu->running)
        emit(cpu, SWITCH_IN, cpu->running, 0);
    return 0;
}
