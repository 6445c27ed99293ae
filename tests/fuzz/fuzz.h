/* What fuzz targets share: the input byte by byte, and what must hold. */
#ifndef MUXCAT_FUZZ_H
#define MUXCAT_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* libFuzzer's entry, and replay.c's. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz_input {
	const uint8_t *next;
	size_t left;
};

/* The next byte; 0 behind the end. */
static inline uint8_t fuzz_byte(struct fuzz_input *input)
{
	if (!input->left)
		return 0;
	input->left--;
	return *input->next++;
}

/* Says what does not hold for this input, and where, and ends the process. */
#define must(holds, ...)                                                                           \
	do {                                                                                       \
		if (!(holds)) {                                                                    \
			dprintf(2, "%s:%d: ", __FILE__, __LINE__);                                 \
			dprintf(2, __VA_ARGS__);                                                   \
			dprintf(2, "\n");                                                          \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

#endif
