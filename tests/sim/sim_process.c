/*
 * A command as a process: it is told to stop by a signal, ends by itself or by that, and what it leaves
 * open the system closes. Time passes here, too: when nobody will act any more the command rests.
 */
#include "sim.h"

#include <setjmp.h>
#include <signal.h>

enum {
	LONG = 60 * 1000, /* longer than anything of the program's own waits */
	GRACE = 1000,     /* how long a stopped command may take: see cmd.c */
	TURNS = 20 * 1000 /* more than what comes within a millisecond may need */
};

struct sim_process sim_process;

static void (*handler)(int signal);
static bool catches;
static jmp_buf ended;
static uint64_t stirred_at;

/* ---- signals ---- */

void os_catch_signals(void (*caught)(int signal))
{
	handler = caught;
	catches = true;
}

void os_release_signals(void)
{
	catches = false;
}

static bool may_be_signalled(void)
{
	return catches && sim_process.signalled_at == UINT64_MAX;
}

bool sim_signal(void)
{
	if (!may_be_signalled() || sim_now < sim_process.signal_at)
		return false;
	sim_process.signalled_at = sim_now;
	handler(SIGTERM);
	return true;
}

/* ---- time ---- */

void sim_begin_wait(void)
{
	static uint64_t at;
	static unsigned turns;

	turns = at == sim_now ? turns + 1 : 0;
	at = sim_now;
	if (turns > TURNS)
		sim_fail("it spins: so many turns, and no time has passed");
	if (sim_faults.jumps && sim_one_in(300))
		sim_now += sim_below(20 * 1000);
}

void sim_stir(void)
{
	stirred_at = sim_now;
}

static bool rests(uint64_t until)
{
	return may_be_signalled() && (until == UINT64_MAX || until > stirred_at + LONG);
}

void sim_pass(uint64_t until)
{
	uint64_t next = sim_next_act();

	if (next != UINT64_MAX) {
		sim_stir();
	} else if (rests(until)) {
		sim_process.rest();
		sim_process.signal_at = sim_now;
		return;
	}
	if (may_be_signalled() && next > sim_process.signal_at)
		next = sim_process.signal_at;
	if (next > until)
		next = until;
	if (next == UINT64_MAX)
		sim_fail("it waits for what will never come");
	if (next > sim_now)
		sim_now = next;
}

/* ---- the end ---- */

static _Noreturn void end(int signal, int status)
{
	sim_process.signal = signal;
	sim_process.status = status;
	longjmp(ended, 1);
}

void os_exit_at_once(int status)
{
	end(0, status);
}

/* Whoever runs next is another process, whose handler has caught nothing. */
void os_die_by(int signal)
{
	handler(0);
	end(signal, 0);
}

void sim_run(int (*command)(const struct options *options), const struct options *options)
{
	static size_t before;

	before = sim_blocks;
	sim_process.signalled_at = UINT64_MAX;
	sim_stir();
	sim_memory_begin();
	if (setjmp(ended) == 0) {
		sim_process.status = command(options);
		sim_process.signal = 0;
		if (sim_blocks != before)
			sim_fail("%zu blocks of memory are left", sim_blocks - before);
		if (sim_close_all())
			sim_fail("a descriptor is left open");
	}
	catches = false;
	sim_memory_end();
	sim_process.ended_at = sim_now;
	if (sim_process.signalled_at != UINT64_MAX && !sim_faults.jumps &&
		sim_now > sim_process.signalled_at + GRACE)
		sim_fail("it takes too long to stop");
	sim_close_all();
	sim_faults = (struct sim_faults){ 0 };
	sim_act_to_the_end();
}

/* ---- what no command here does ---- */

int os_confine(enum os_confinement confinement)
{
	(void)confinement;
	return 0;
}

void os_raise_descriptor_limit(void)
{
}

bool os_pipe_kills(void)
{
	return false;
}

void os_die_by_pipe(void)
{
	sim_fail("%s is not simulated", __func__);
}

bool os_replace_file(const char *from, const char *to)
{
	sim_fail("%s: %s, %s is not simulated", __func__, from, to);
}
