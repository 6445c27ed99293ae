/* Chance, memory, and the runs. */
#include "sim.h"

#include <search.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct sim_faults sim_faults;
size_t sim_blocks;
const char *sim_backend;
bool sim_edge;
size_t sim_piece;

static uint64_t state;
static const uint8_t *input; /* its bytes are the first numbers */
static size_t input_left;
static uint64_t seed;
static const char *scenario;
static const char *mechanism;
static bool has_tls;

/* ---- chance: xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators") ---- */

static uint64_t next(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 0x2545f4914f6cdd1d;
}

void sim_seed(uint64_t number)
{
	state = (number + 1) * 0x9e3779b97f4a7c15;
	for (int i = 0; i < 4; i++)
		next();
}

uint64_t sim_below(uint64_t limit)
{
	uint64_t number = 0;

	if (!input_left)
		return (next() >> 16) % limit;
	for (uint64_t most = limit - 1; most && input_left; most >>= 8, input_left--)
		number = number << 8 | *input++;
	return number % limit;
}

bool sim_one_in(uint64_t n)
{
	return sim_below(n) == 0;
}

uint64_t sim_some(uint64_t limit)
{
	uint64_t most = 1;

	while (most < limit && !sim_one_in(12))
		most *= 2;
	return 1 + sim_below(most < limit ? most : limit);
}

/* ---- memory: --wrap of ld(1) ---- */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void __real_free(void *block);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
void __wrap_free(void *block);

static bool is_out_of_memory(void)
{
	return sim_faults.memory && sim_one_in(50);
}

static bool is_process;
static void *left; /* a process's blocks: a tree of their addresses, tsearch(3) */

static int compare(const void *a, const void *b)
{
	return a < b ? -1 : a > b;
}

void sim_memory_begin(void)
{
	is_process = true;
}

void sim_memory_end(void)
{
	is_process = false;
	tdestroy(left, __wrap_free);
	left = NULL;
}

static void *counted(void *block)
{
	if (!block)
		return NULL;
	sim_blocks++;
	if (is_process && !tsearch(block, &left, compare))
		sim_fail("no memory for the simulation");
	return block;
}

static void uncount(void *block)
{
	if (!block)
		return;
	sim_blocks--;
	if (is_process)
		tdelete(block, &left, compare);
}

void *__wrap_malloc(size_t size)
{
	return is_out_of_memory() ? NULL : counted(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
	return is_out_of_memory() ? NULL : counted(__real_calloc(count, size));
}

void *__wrap_realloc(void *block, size_t size)
{
	/* does not fail: the heap of timers grows so, and the program ends if it cannot */
	uncount(block);
	return counted(__real_realloc(block, size));
}

void __wrap_free(void *block)
{
	uncount(block);
	__real_free(block);
}

/* ---- the runs ---- */

void sim_fail(const char *format, ...)
{
	va_list arguments;

	char what[200];

	va_start(arguments, format);
	vsnprintf(what, sizeof(what), format, arguments);
	va_end(arguments);
	printf("not ok 1 - seed %llu, %s, %s: %s\n", (unsigned long long)seed, scenario, mechanism,
		what);
	if (!input)
		printf("# make sim SEED=%llu\n", (unsigned long long)seed);
	fflush(stdout);
	abort();
}

/* Of 20 seeds, so many for each. */
static const struct {
	const char *name;
	void (*run)(void);
	unsigned share;
} scenarios[] = {
	{ "relay", sim_relay, 4 },
	{ "hub", sim_hub, 4 },
	{ "echo", sim_echo, 5 },
	{ "broker", sim_broker, 4 },
	{ "datagrams", sim_echo_datagrams, 1 },
	{ "peers", sim_peers, 1 },
	{ "TLS", sim_tls, 1 },
};

enum { SHARES = 20 };

static const struct {
	const char *name;
	const char *backend;
	bool edge;
	size_t piece;
} mechanisms[] = {
	{ "level", "sim", false, 0 },
	{ "edge", "sim", true, 0 },
	{ "completions", "iocp", false, 32 * 1024 },
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static size_t choose(uint64_t share)
{
	size_t which = 0;

	for (; share >= scenarios[which].share; which++)
		share -= scenarios[which].share;
	return which;
}

void sim_begin(void)
{
	has_tls = sim_tls_begin();
}

void sim_end(void)
{
	sim_tls_end();
}

void sim_run_seed(uint64_t number, const uint8_t *bytes, size_t size)
{
	size_t which = choose(number % SHARES);
	size_t how = (size_t)(number / SHARES % COUNT(mechanisms));
	size_t before = sim_blocks;

	seed = number;
	sim_seed(seed);
	input = bytes;
	input_left = size;
	sim_now = 1 + sim_below(1000);
	sim_sockets_clear();
	scenario = scenarios[which].name;
	mechanism = mechanisms[how].name;
	sim_backend = mechanisms[how].backend;
	sim_edge = mechanisms[how].edge;
	sim_piece = mechanisms[how].piece;
	sim_process = (struct sim_process){ .signalled_at = UINT64_MAX };
	sim_faults = (struct sim_faults){ 0 };
	if (sim_one_in(2)) {
		sim_faults.reset = sim_one_in(2);
		sim_faults.transfer = sim_one_in(2);
		sim_faults.memory = sim_one_in(4);
	}
	sim_faults.jumps = sim_one_in(4);
	if (scenarios[which].run == sim_tls && !has_tls)
		return;
	scenarios[which].run();
	if (sim_blocks != before)
		sim_fail("%zu blocks of memory are left", sim_blocks - before);
}
