/*
 * Starts a program on Windows with a stdin that no shell would give it, and ends with its status.
 *
 *	give.exe nothing COMMAND...   no standard handles but stderr
 *	give.exe bytes COMMAND...     "abc", a write of nothing and "def" through a pipe of messages,
 *	                              which is read by bytes
 *	give.exe messages COMMAND...  "abc", 100,000 times "y" and "def" through one that is read by
 *	                              messages
 *
 * Each write is made when the one before it has been read.
 */
#include <windows.h>

#include <stdio.h>
#include <string.h>

_Noreturn static void die(const char *what)
{
	fprintf(stderr, "%s: error %lu\n", what, GetLastError());
	exit(100);
}

static void put(HANDLE to, const char *data, DWORD length)
{
	DWORD n;

	if (!WriteFile(to, data, length, &n, NULL))
		die("write");
	FlushFileBuffers(to); /* returns when all is read */
}

static HANDLE start(char **command, HANDLE input, HANDLE output)
{
	STARTUPINFOA how = { .cb = sizeof(how), .dwFlags = STARTF_USESTDHANDLES };
	PROCESS_INFORMATION process;
	char line[8192] = "";

	for (; *command; command++) {
		strcat(line, *command);
		strcat(line, " ");
	}
	how.hStdInput = input;
	how.hStdOutput = output;
	how.hStdError = GetStdHandle(STD_ERROR_HANDLE);
	if (!CreateProcessA(NULL, line, NULL, NULL, TRUE, 0, NULL, NULL, &how, &process))
		die(line);
	return process.hProcess;
}

static HANDLE start_with_pipe(char **command, BOOL by_messages)
{
	static char big[100000];
	char pipe_name[64];
	SECURITY_ATTRIBUTES inherited = { sizeof(inherited), NULL, TRUE };
	DWORD mode = PIPE_TYPE_MESSAGE | (by_messages ? PIPE_READMODE_MESSAGE : PIPE_READMODE_BYTE);
	HANDLE reader;
	HANDLE writer;
	HANDLE process;

	snprintf(pipe_name, sizeof(pipe_name), "\\\\.\\pipe\\muxcat-give-%lu",
		GetCurrentProcessId());
	reader = CreateNamedPipeA(
		pipe_name, PIPE_ACCESS_INBOUND, mode, 1, 1 << 20, 1 << 20, 0, &inherited);
	writer = CreateFileA(pipe_name, GENERIC_WRITE, 0, NULL, OPEN_EXISTING, 0, NULL);
	if (reader == INVALID_HANDLE_VALUE || writer == INVALID_HANDLE_VALUE)
		die("pipe");
	process = start(command, reader, GetStdHandle(STD_OUTPUT_HANDLE));
	CloseHandle(reader);
	put(writer, "abc", 3);
	memset(big, 'y', sizeof(big));
	put(writer, big, by_messages ? sizeof(big) : 0);
	put(writer, "def", 3);
	CloseHandle(writer);
	return process;
}

int main(int argc, char **argv)
{
	HANDLE process;
	DWORD status = 0;

	if (argc < 3)
		return 100;
	if (strcmp(argv[1], "nothing") == 0)
		process = start(argv + 2, NULL, NULL);
	else
		process = start_with_pipe(argv + 2, strcmp(argv[1], "messages") == 0);
	WaitForSingleObject(process, INFINITE);
	GetExitCodeProcess(process, &status);
	return (int)status;
}
