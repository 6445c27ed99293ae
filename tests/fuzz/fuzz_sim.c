/* The simulation: its first numbers are the input's bytes, and it checks what it checks for any seed. */
#include "sim.h"

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool begun;

	if (!begun)
		sim_begin();
	begun = true;
	if (size)
		sim_run_seed(data[0], data + 1, size - 1);
	return 0;
}
