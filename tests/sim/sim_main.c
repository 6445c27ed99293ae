/* sim [SEED COUNT]: runs so many seeds, 4,000 if none are given, and tells of the first that fails (TAP). */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
	uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : 4000;

	sim_begin();
	puts("1..1");
	for (uint64_t seed = first; seed - first < count; seed++)
		sim_run_seed(seed, NULL, 0);
	sim_end();
	printf("ok 1 - %llu seeds from %llu on\n", (unsigned long long)count,
		(unsigned long long)first);
	return 0;
}
