// Exclusive on-CPU time of the whole machine by (role, state), summed in the kernel.
//
// Purpose: every nanosecond of every CPU belongs to one role (the process it ran) and one state (what it did for it).
// How: each event closes the slice since the CPU's last event. The thread that ran a slice is the current thread at its
// end, also in sched_switch, so threads are known by their id alone and no kernel structure is read. A thread's state is
// kept when it is switched out and taken up again in the next slice it ends.
// Reading the clock costs more than all the rest. So where the CPU turns from one piece of work to the next (a switch,
// the return from an event wait, a tick) faster than every FAST_NS, only one piece in SAMPLE_ONE_OF, drawn at random, is split
// into states; of the others only the whole is timed, and user space splits it like those drawn. Time by role and the
// counts of entries stay exact.
// A CPU that a neighbour holds works for a woken thread before any tracepoint there sees it: the interrupt's way in comes
// first; and the way back to the neighbour comes after the last. The neighbour notes the time of its steps in its memory,
// so what its slice holds outside of them counts with the receive work of the thread that runs next.
// Caveats: hard interrupts and page faults count for the state they interrupt; the entry and exit code of a system call
// outside its tracepoints counts as user. read and write of files count like those of sockets. The program's own cost
// lands in the states it watches. A softirq arriving inside another program's few instructions between reading and
// moving `since_ns` is counted twice.
//
// Parameters: SAMPLE_ONE_OF (a power of two; 1 splits everything), FAST_NS, the numbers of the roles ROLE_REST,
// ROLE_IDLE and ROLE_NEIGHBOUR (those of others come in `roles`), and the system calls of each family as bit sets
// SOCKET_READ_0.._7, SOCKET_WRITE_0.._7, EVENT_WAIT_0.._7, each for 64 numbers: in the code rather than in a map,
// because on a busy machine a map's cache lines cost more than the work done here.

#define MAX_ROLES 16
#define MAX_STATES 16
#define MAX_HITS 16

// The numbers of STATES in cputime.py.
#define STATE_USER 0
#define STATE_SOCKET_READ 1
#define STATE_SOCKET_WRITE 2
#define STATE_EVENT_WAIT 3
#define STATE_SYSCALL_OTHER 4
#define STATE_KERNEL 5 // no system call of this thread was seen yet
#define STATE_NET_RX 6
#define STATE_SOFTIRQ_OTHER 7
#define STATE_HALTED 8

// The numbers of TRACEPOINTS in cputime.py.
#define HIT_SYS_ENTER 0
#define HIT_SYS_EXIT 1
#define HIT_SOFTIRQ_ENTRY 2
#define HIT_SOFTIRQ_EXIT 3
#define HIT_SCHED_SWITCH 4
#define HIT_PROCESS_EXIT 5
#define HIT_CPU_IDLE 6
#define HIT_RESCHEDULE 7
#define HIT_NONE (MAX_HITS - 1)

#define VECTOR_NET_RX 3
#define IDLE_ENDS 0xffffffff
#define WAKE_UP_NS 20000 // a reschedule interrupt that leads to no switch within this time was for nothing

struct slot {
    u64 time_ns;
    u64 entries;
};

// What a neighbour writes down, see testbed/neighbour.py.
struct steps {
    u64 used_ns;
    u64 usual_ns; // how long a step takes
    u64 last_ns;  // end of the last step
    u64 back_ns;  // end of the last step in which it lost the CPU
};

struct cpu {
    u64 since_ns; // end of the last slice, 0 before the first
    u64 piece_ns; // begin of the current piece of work
    u8 role;      // of the running thread, valid if resolved
    u8 state;     // of the running thread, outside softirqs, valid if resolved
    u8 softirq;   // state of the softirq that runs nested in it, or 0
    u8 resolved;  // 0 from a switch to the next event
    u8 leaving;   // the running thread is past sched_process_exit
    u8 fast;      // the piece before was short, so this one is subject to the draw
    u8 skipped;   // and was not drawn
    u8 waking;    // a reschedule interrupt came, and what it woke does not run yet
    u64 slice_from_ns; // begin of the slice that ended last
    u64 noted_ns;      // when the slice of a neighbour ended that is before the thread that is to run, 0 if none is
    u64 outside_ns;    // what of that slice was outside the neighbour's steps
    u64 taken_ns;      // of the neighbours' time, what is counted for other threads
    u32 hits[MAX_HITS]; // these wrap around
    struct slot slots[2 * MAX_ROLES * MAX_STATES]; // of pieces not subject to the draw, then of those drawn
    u64 skipped_ns[MAX_ROLES];                     // of those not drawn
};

BPF_PERCPU_ARRAY(cpus, struct cpu, 1);
BPF_HASH(roles, u32, u32, 4096);        // process id -> role
BPF_HASH(neighbours, u32, u64, 4096);   // process id -> where its struct steps is
BPF_HASH(threads, u32, u32, 65536);     // thread id -> state | softirq << 8, while it does not run

#define WIDE(number) WIDE_(number)
#define WIDE_(number) number##ULL
#define FAMILY_IN_WORD(word)                                                                                           \
    case word:                                                                                                         \
        return bit & WIDE(SOCKET_READ_##word)    ? STATE_SOCKET_READ                                                   \
               : bit & WIDE(SOCKET_WRITE_##word) ? STATE_SOCKET_WRITE                                                  \
               : bit & WIDE(EVENT_WAIT_##word)   ? STATE_EVENT_WAIT                                                    \
                                                 : STATE_SYSCALL_OTHER

static __always_inline u32 family_of(u32 number)
{
    u64 bit = 1ULL << (number & 63);
    switch (number >> 6) {
        FAMILY_IN_WORD(0);
        FAMILY_IN_WORD(1);
        FAMILY_IN_WORD(2);
        FAMILY_IN_WORD(3);
        FAMILY_IN_WORD(4);
        FAMILY_IN_WORD(5);
        FAMILY_IN_WORD(6);
        FAMILY_IN_WORD(7);
    }
    return STATE_SYSCALL_OTHER;
}

static __always_inline struct slot *slot_of(struct cpu *cpu, u32 state)
{
    u32 row = (cpu->fast & 1) * MAX_ROLES + (cpu->role & (MAX_ROLES - 1));
    return &cpu->slots[row * MAX_STATES + (state & (MAX_STATES - 1))];
}

static __always_inline u32 role_of(u32 process)
{
    if (!process)
        return ROLE_IDLE;
    u32 *role = roles.lookup(&process);
    return role ? *role : ROLE_REST;
}

// Gives the running thread what the neighbour before it held of the CPU outside its steps.
static __always_inline void take_from_neighbour(struct cpu *cpu)
{
    if (cpu->role < ROLE_NEIGHBOUR) {
        cpu->taken_ns += cpu->outside_ns;
        cpu->slots[(cpu->role & (MAX_ROLES - 1)) * MAX_STATES + STATE_NET_RX].time_ns += cpu->outside_ns;
    }
    cpu->noted_ns = 0;
}

// Who runs here, in which state was it when it last stopped?
static __always_inline void resolve(struct cpu *cpu)
{
    u64 id = bpf_get_current_pid_tgid();
    u32 thread = id;
    u32 *saved = thread ? threads.lookup(&thread) : 0;
    cpu->role = role_of(id >> 32);
    cpu->state = saved ? *saved & 0xff : STATE_KERNEL;
    cpu->softirq = saved ? *saved >> 8 : 0;
    cpu->resolved = 1;
    if (cpu->noted_ns)
        take_from_neighbour(cpu);
}

// Closes the slice that ends now. `revealed` is the state that this event shows the thread was in, for one whose system
// calls were not seen yet.
static __always_inline struct cpu *close_slice(u32 hit, u32 revealed)
{
    int zero = 0;
    struct cpu *cpu = cpus.lookup(&zero);
    if (!cpu)
        return 0;
    u64 since_ns = cpu->since_ns, now_ns = 0;
    if (!cpu->skipped) {
        now_ns = bpf_ktime_get_ns();
        cpu->slice_from_ns = since_ns;
        cpu->since_ns = now_ns;
    }
    cpu->hits[hit]++;
    if (!cpu->resolved)
        resolve(cpu);
    if (!now_ns || !since_ns)
        return cpu;
    u32 state = cpu->state == STATE_KERNEL ? revealed : cpu->state;
    if (cpu->softirq)
        state = cpu->softirq;
    if (cpu->waking && now_ns - since_ns < WAKE_UP_NS)
        state = STATE_NET_RX;
    cpu->waking = 0;
    slot_of(cpu, state)->time_ns += now_ns - since_ns;
    return cpu;
}

// Closes a piece that is not split into slices, up to now.
static __always_inline void close_skipped(struct cpu *cpu)
{
    if (!cpu->skipped)
        return;
    u64 now_ns = bpf_ktime_get_ns();
    cpu->skipped_ns[cpu->role & (MAX_ROLES - 1)] += now_ns - cpu->since_ns;
    cpu->slice_from_ns = cpu->since_ns;
    cpu->since_ns = now_ns;
}

// After close_slice and close_skipped: a neighbour held the CPU until now, and another thread is to run. An interrupted
// step is half done on either side, on average.
static __always_inline void note_neighbour(struct cpu *cpu)
{
    if (cpu->role != ROLE_NEIGHBOUR || (cpu->noted_ns && cpu->since_ns - cpu->noted_ns < WAKE_UP_NS))
        return;
    u32 process = bpf_get_current_pid_tgid() >> 32;
    u64 *address = neighbours.lookup(&process);
    struct steps steps = {};
    if (!address || bpf_probe_read_user(&steps, sizeof(steps), (void *)*address))
        return;
    u64 outside_ns = 0, from_ns = cpu->slice_from_ns, half_ns = steps.usual_ns / 2;
    if (steps.back_ns > from_ns + half_ns && steps.back_ns < cpu->since_ns) {
        outside_ns = steps.back_ns - from_ns - half_ns;
        from_ns = steps.back_ns;
    }
    if (steps.last_ns + half_ns > from_ns)
        from_ns = steps.last_ns + half_ns;
    if (from_ns < cpu->since_ns)
        outside_ns += cpu->since_ns - from_ns;
    cpu->noted_ns = cpu->since_ns;
    cpu->outside_ns = outside_ns;
}

// After close_slice, where the CPU turns to another piece of work.
static __always_inline void next_piece(struct cpu *cpu)
{
    close_skipped(cpu);
    cpu->fast = SAMPLE_ONE_OF > 1 && cpu->since_ns - cpu->piece_ns < FAST_NS;
    cpu->piece_ns = cpu->since_ns;
    cpu->skipped = cpu->fast && (bpf_get_prandom_u32() & (SAMPLE_ONE_OF - 1));
}

int on_sys_enter(struct bpf_raw_tracepoint_args *ctx)
{
    struct cpu *cpu = close_slice(HIT_SYS_ENTER, STATE_USER);
    if (!cpu)
        return 0;
    u32 state = family_of(ctx->args[1]);
    cpu->state = state;
    slot_of(cpu, state)->entries++;
    return 0;
}

int on_sys_exit(struct bpf_raw_tracepoint_args *ctx)
{
    struct cpu *cpu = close_slice(HIT_SYS_EXIT, STATE_SYSCALL_OTHER);
    if (!cpu)
        return 0;
    if (cpu->state == STATE_EVENT_WAIT)
        next_piece(cpu);
    cpu->state = STATE_USER;
    return 0;
}

int on_softirq_entry(struct bpf_raw_tracepoint_args *ctx)
{
    struct cpu *cpu = close_slice(HIT_SOFTIRQ_ENTRY, STATE_KERNEL);
    if (!cpu)
        return 0;
    u32 state = STATE_NET_RX;
    if ((u32)ctx->args[0] != VECTOR_NET_RX) {
        state = STATE_SOFTIRQ_OTHER;
        next_piece(cpu); // these come with the tick, so work that goes on for long is not skipped for long
    }
    cpu->softirq = state;
    slot_of(cpu, state)->entries++;
    return 0;
}

int on_softirq_exit(struct bpf_raw_tracepoint_args *ctx)
{
    struct cpu *cpu = close_slice(HIT_SOFTIRQ_EXIT, STATE_KERNEL);
    if (cpu)
        cpu->softirq = 0;
    return 0;
}

int on_sched_switch(struct bpf_raw_tracepoint_args *ctx)
{
    struct cpu *cpu = close_slice(HIT_SCHED_SWITCH, STATE_KERNEL);
    if (!cpu)
        return 0;
    u32 thread = bpf_get_current_pid_tgid();
    if (thread && !cpu->leaving && (cpu->state != STATE_KERNEL || cpu->softirq)) {
        u32 value = cpu->state | cpu->softirq << 8;
        u32 *saved = threads.lookup(&thread);
        if (saved)
            *saved = value;
        else
            threads.update(&thread, &value);
    }
    next_piece(cpu);
    note_neighbour(cpu);
    cpu->leaving = 0;
    cpu->resolved = 0;
    return 0;
}

// Thread ids are used again: forget those that end.
int on_sched_process_exit(struct bpf_raw_tracepoint_args *ctx)
{
    struct cpu *cpu = close_slice(HIT_PROCESS_EXIT, STATE_KERNEL);
    if (!cpu)
        return 0;
    u32 thread = bpf_get_current_pid_tgid();
    threads.delete(&thread);
    cpu->leaving = 1;
    return 0;
}

// The idle loop halts the CPU, or has ended a halt.
int on_cpu_idle(struct bpf_raw_tracepoint_args *ctx)
{
    struct cpu *cpu = close_slice(HIT_CPU_IDLE, STATE_KERNEL);
    if (cpu)
        cpu->state = (u32)ctx->args[0] == IDLE_ENDS ? STATE_KERNEL : STATE_HALTED;
    return 0;
}

// Another CPU has woken a thread that is to run here. From here to the switch a CPU that had nothing to do, or only a
// neighbour, works for that thread: this is the rest of the wake-up, and counts with the receive work that caused it.
int on_reschedule_entry(struct bpf_raw_tracepoint_args *ctx)
{
    struct cpu *cpu = close_slice(HIT_RESCHEDULE, STATE_KERNEL);
    if (!cpu || (cpu->role != ROLE_NEIGHBOUR && cpu->role != ROLE_IDLE))
        return 0;
    close_skipped(cpu);
    note_neighbour(cpu);
    cpu->fast = 0;
    cpu->skipped = 0;
    cpu->waking = 1;
    return 0;
}

// The two below are run on each CPU by user space.

static __always_inline struct cpu *settle(void)
{
    struct cpu *cpu = close_slice(HIT_NONE, STATE_KERNEL);
    if (!cpu)
        return 0;
    close_skipped(cpu);
    cpu->role = role_of(bpf_get_current_pid_tgid() >> 32);
    cpu->fast = 0;
    cpu->skipped = 0;
    return cpu;
}

// Before it reads, and after it changed `roles`: what ran until now still goes to the old role.
int flush(struct bpf_raw_tracepoint_args *ctx)
{
    settle();
    return 0;
}

// After all probes are attached: what was learnt while only some were is not to be trusted.
int begin(struct bpf_raw_tracepoint_args *ctx)
{
    struct cpu *cpu = settle();
    if (!cpu)
        return 0;
    cpu->state = STATE_KERNEL;
    cpu->softirq = 0;
    cpu->leaving = 0;
    return 0;
}
