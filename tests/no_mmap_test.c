/* SPDX-License-Identifier: MIT
 *
 * Promise: "Nothing allocates after the create calls", shown from below: the same mixed ops in a
 * process that is killed if it maps, unmaps or grows memory. That sees what no counter of malloc
 * calls can see. Linux only.
 */
#include "mix.h"
#include "no_mmap.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define OPS 1000000u

/* Its exit code says what went wrong. */
enum { CHILD_FINE, CHILD_NO_FILTER, CHILD_WRONG, CHILD_SURVIVED };

/* As waitpid() tells it. */
static int run_in_child(void (*run)(const struct fixture_backend *backend),
                        const struct fixture_backend *backend)
{
    int status = -1;
    pid_t pid;

    fflush(NULL);
    pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        signal(SIGSYS, SIG_DFL);
        run(backend);
        _exit(CHILD_SURVIVED);
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    return status;
}

static void run_mix(const struct fixture_backend *backend)
{
    static struct mix mix;

    mix_open(&mix, backend, fixture_seed());
    fixture_remove(mix.fixture.paths[1]); /* this process ends without closing anything */
    if (no_mmap_install() != 0)
        _exit(CHILD_NO_FILTER);
    mix_run(&mix, fixture_volume(OPS));
    fixture_remove(mix.fixture.paths[0]);
    _exit(mix.counts.wrong == 0 && mix.counts.cancelled > 0 ? CHILD_FINE : CHILD_WRONG);
}

static void allocate(const struct fixture_backend *backend)
{
    void *(*volatile from)(size_t) = malloc; /* a block that is not used would not be allocated */

    (void) backend;
    if (no_mmap_install() != 0)
        _exit(CHILD_NO_FILTER);
    _exit(from((size_t) 1 << 30) != NULL ? CHILD_SURVIVED : CHILD_WRONG);
}

/* The control: who does allocate is killed. Small blocks may come from memory mapped before. */
Test(no_mmap, a_gibibyte_kills)
{
    int status;

    if (fixture_sanitized())
        cr_skip_test("a sanitizer maps memory for itself");
    status = run_in_child(allocate, NULL);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS, "status 0x%x", (unsigned) status);
}

BACKEND_TEST(no_mmap, the_steady_state_maps_nothing, ON_EVERY_BACKEND)
{
    struct fixture fixture;
    int status;

    if (fixture_sanitized())
        cr_skip_test("a sanitizer maps memory for itself");
    fixture_open(&fixture, backend); /* skips here, and not in the child */
    fixture_close(&fixture);
    status = run_in_child(run_mix, backend);
    cr_assert(!WIFSIGNALED(status), "%s: killed by signal %d", backend->name, WTERMSIG(status));
    cr_assert_eq(WEXITSTATUS(status), CHILD_FINE, "%s: exit code %d", backend->name,
                 WEXITSTATUS(status));
}
