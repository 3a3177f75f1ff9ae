/* SPDX-License-Identifier: MIT
 *
 * What the tool asks of the system beside the I/O that goes through the library: what a path is,
 * plain reads of the inputs, the wish of the user to stop, the clock. One implementation per
 * system. Functions that return int answer 0 or a negative errno; paths are UTF-8.
 */
#ifndef REOP_PLATFORM_H
#define REOP_PLATFORM_H

#include <reop/reop.h>

#include <stdbool.h>
#include <stdint.h>

enum platform_kind {
    PLATFORM_MISSING,
    PLATFORM_REGULAR,
    PLATFORM_BLOCK_DEVICE,
    PLATFORM_SINK, /* /dev/null and /dev/full: takes writes, keeps nothing */
    PLATFORM_FOLDER,
    PLATFORM_FIFO,
    PLATFORM_SOCKET,
    PLATFORM_TERMINAL,
    PLATFORM_OTHER
};

struct platform_place {
    enum platform_kind kind;
    uint64_t volume, index; /* of two places both equal: they are the same file or device */
    uint64_t size;          /* of a regular file */
};

/* Once, before anything is opened. A signal to stop, a file size limit and a reader of our words
 * that went away do not kill after this, and no file of ours can become standard input, output or
 * error. */
void platform_start(void);

/* What main() was given, in UTF-8. Called once. */
void platform_arguments(int *argc, char ***argv);

int platform_look(const char *path, struct platform_place *place_out); /* missing is no error */
int platform_look_stdin(struct platform_place *place_out);

/* Opens for plain reads, from the beginning. A folder is -EISDIR. */
int platform_open_input(const char *path, reop_handle *handle_out);
reop_handle platform_stdin(void);
void platform_close_input(reop_handle handle);

/* Bytes read, 0 at the end, -errno; -EAGAIN when nothing came within timeout_ns (0 or more), or a
 * signal did. Only a stream - FIFO, terminal, device - can be late. */
int64_t platform_read(reop_handle handle, bool stream, void *data, uint32_t size,
                      int64_t timeout_ns);

/* The file is one that the library opened for writing. */
int platform_set_size(reop_handle handle, uint64_t size);
/* Makes the name of a new file durable. */
int platform_sync_folder_of(const char *path);
void platform_remove(const char *path); /* a file, or an empty folder */

/* 0, or the first signal that asked to stop. One more than a second later ends the program. */
int platform_stop_signal(void);
const char *platform_signal_name(int signal);

bool platform_stderr_is_terminal(void);
int64_t platform_now_ns(void);  /* monotonic */
int64_t platform_wall_ns(void); /* the time of day, since 1970; somebody may set it */

/* Wakes up not before that time, by the clock of platform_now_ns(); a signal may end it earlier. */
void platform_sleep_until(int64_t ns);
/* Lets the calling thread wake up as exactly as the system can. */
void platform_be_punctual(void);

struct platform_thread {
    void (*run)(void *context);
    void *context;
    uintptr_t id;
};
int platform_thread_start(struct platform_thread *thread, void (*run)(void *context),
                          void *context);
void platform_thread_join(struct platform_thread *thread);

/* -EEXIST: something of this name is there already. */
int platform_make_folder(const char *path);

/* Runs a program, found by its name, in a folder, without output. Its exit status, or -ENOENT. */
int platform_run(const char *folder, const char *const arguments[]);

/* Names of what is in a folder, one call each and in no order. */
int platform_list_folder(const char *path, void (*found)(void *context, const char *name),
                         void *context);

/* What a measurement may depend on: the machine, and the file system and device under path. Each
 * fact is a name and a value; each warning is a sentence on a state that is known to spoil. */
struct platform_facts {
    void (*fact)(void *context, const char *name, const char *value);
    void (*warning)(void *context, const char *sentence);
    void *context;
};
void platform_tell_facts(const char *path, const struct platform_facts *facts);

/* The system's words for an op's result and os_error, or for a negative errno with os_error 0. */
const char *platform_words(int64_t result, uint32_t os_error);

#endif
