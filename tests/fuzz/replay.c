/*
 * The main of a fuzz target that is built without libFuzzer: fuzz_NAME [FILE...] runs it with each file, or
 * with what is kept in tests/fuzz/corpus/NAME, in a process of its own (TAP).
 */
#include "fuzz.h"

#include <dirent.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	HELD = 42,
	PATIENCE = 60,
	PATH = 512
}; /* an exit from inside is no good end: HELD is no other's */

static void run(const char *path)
{
	FILE *file = fopen(path, "rb");
	uint8_t *input;
	long size;

	must(file && fseek(file, 0, SEEK_END) == 0 && (size = ftell(file)) >= 0, "%s: no such file",
		path);
	rewind(file);
	input = malloc((size_t)size + !size);
	must(input && fread(input, 1, (size_t)size, file) == (size_t)size, "%s: unreadable", path);
	fclose(file);
	alarm(PATIENCE);
	LLVMFuzzerTestOneInput(input, (size_t)size);
	free(input);
	exit(HELD);
}

/* False if it did not hold. */
static bool replay(const char *program, const char *path, size_t number)
{
	int status = 0;
	pid_t child;
	bool held;

	fflush(stdout);
	child = fork();
	if (child == 0)
		run(path);
	held = child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
	       WEXITSTATUS(status) == HELD;
	if (held)
		printf("ok %zu - %s\n", number, path);
	else
		printf("not ok %zu - %s (status %#x; again: %s %s)\n", number, path,
			(unsigned)status, program, path);
	return held;
}

static int is_kept(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static bool replay_corpus(const char *program, const char *name)
{
	char folder[PATH];
	struct dirent **found;
	bool all = true;
	int count;

	snprintf(folder, sizeof(folder), "tests/fuzz/corpus/%s", name);
	count = scandir(folder, &found, is_kept, alphasort);
	must(count > 0, "%s: nothing is kept there", folder);
	printf("1..%d\n", count);
	for (int i = 0; i < count; i++) {
		char path[2 * PATH];

		snprintf(path, sizeof(path), "%s/%s", folder, found[i]->d_name);
		all = replay(program, path, (size_t)i + 1) && all;
		free(found[i]);
	}
	free(found);
	return all;
}

int main(int argc, char **argv)
{
	const char *name = strstr(argv[0], "fuzz_");
	bool all = true;

	must(name, "%s: the name is not fuzz_NAME", argv[0]);
	if (argc == 1)
		return replay_corpus(argv[0], name + strlen("fuzz_")) ? 0 : 1;
	printf("1..%d\n", argc - 1);
	for (int i = 1; i < argc; i++)
		all = replay(argv[0], argv[i], (size_t)i) && all;
	return all ? 0 : 1;
}
