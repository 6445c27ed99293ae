/*
 * Windows' console as a stream of UTF-8. Its own interface is UTF-16: to read its bytes by ReadFile
 * gives the code page's, and UTF-8 is not one that it can read ("SetConsoleCP", Win32).
 */
#include "os.h"

#include <string.h>

enum { WIDE = 4096 };

bool os_is_console(mux_fd fd)
{
	DWORD mode;

	return GetConsoleMode((HANDLE)fd, &mode);
}

/*
 * What is typed comes in pieces: a long line in several, cut anywhere. The process has one stdin, and
 * one thread that reads it.
 */
static struct {
	wchar_t held;  /* the first half of a character, or CR, that a piece ended with; 0 none */
	bool mid_line; /* the last piece did not end its line */
} typed;

static bool is_held_back(wchar_t unit)
{
	return unit == '\r' || IS_HIGH_SURROGATE(unit);
}

/* A typed line ends with CR LF; a program is given LF, as everywhere. */
static DWORD end_lines(wchar_t *text, DWORD length)
{
	DWORD kept = 0;

	for (DWORD i = 0; i < length; i++)
		if (text[i] != '\r' || i + 1 == length || text[i + 1] != '\n')
			text[kept++] = text[i];
	return kept;
}

/* Ctrl-Z as a line's first character is the end, as it is for every console program. */
enum { END_KEY = 0x1a };

ssize_t os_console_read(mux_fd fd, void *into, size_t size)
{
	wchar_t text[WIDE + 1];
	DWORD length = 0;
	DWORD room = size / 3 < WIDE ? (DWORD)size / 3 : WIDE;

	do {
		DWORD before = typed.held ? 1 : 0;
		DWORD n = 0;

		text[0] = typed.held;
		if (!ReadConsoleW((HANDLE)fd, text + before, room - before, &n, NULL))
			return os_windows_error(GetLastError());
		if (n == 0) /* Ctrl-C; whether it ends the program is its handler's matter */
			continue;
		length = before + n - 1;
		typed.held = text[length];
		if (!is_held_back(typed.held)) {
			typed.held = 0;
			length++;
		}
	} while (!length);
	if (text[0] == END_KEY && !typed.mid_line)
		return 0;
	typed.mid_line = text[length - 1] != '\n';
	length = end_lines(text, length);
	return WideCharToMultiByte(CP_UTF8, 0, text, (int)length, into, (int)size, NULL, NULL);
}

/* How many bytes at the end of `text` begin a character that is not complete. */
static size_t incomplete_tail(const unsigned char *text, size_t length)
{
	for (size_t back = 1; back <= 3 && back <= length; back++) {
		unsigned char byte = text[length - back];
		size_t whole = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;

		if (whole > 1)
			return whole > back ? back : 0;
		if (byte < 0x80)
			return 0;
	}
	return 0;
}

ssize_t os_console_write(mux_fd fd, const void *from, size_t length)
{
	static unsigned char text[WIDE]; /* the process has one stdout, and one thread writes it */
	static size_t kept;              /* the beginning of a character that was cut */
	wchar_t wide[WIDE];
	size_t taken = length < WIDE - kept ? length : WIDE - kept;
	size_t whole;
	int count;
	DWORD written;

	memcpy(text + kept, from, taken);
	whole = kept + taken - incomplete_tail(text, kept + taken);
	count = MultiByteToWideChar(CP_UTF8, 0, (char *)text, (int)whole, wide, WIDE);
	if (count && !WriteConsoleW((HANDLE)fd, wide, (DWORD)count, &written, NULL))
		return os_windows_error(GetLastError());
	kept = kept + taken - whole;
	memmove(text, text + whole, kept);
	return (ssize_t)taken;
}
