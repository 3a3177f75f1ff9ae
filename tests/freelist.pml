/* SPDX-License-Identifier: MIT
 *
 * The freelist's verdict and the waiters' protocol as a model for spin: words of free bits with a
 * seq each, one lane per thread that keeps up to one op, and a lane that all share. Checked:
 *
 *   an op is never free and owned, nor given to two owners;
 *   NULL is answered only if, between scan and second reading, N ops were held;
 *   nobody sleeps for ever in a wait: when all held ops have come home, every waiter was served.
 *
 * It must fail with MORE=1 (N is one more than the slab promises), NORECHECK (the first scan is
 * believed), NOCOUNT (a spill does not count up the seq), LOOKFIRST (a release looks for waiters
 * before it puts the op).
 */
#ifndef WORDS
#define WORDS 3
#endif
#ifndef WORD_BITS
#define WORD_BITS 1
#endif
#ifndef THREADS
#define THREADS 2
#endif
#ifndef ROUNDS
#define ROUNDS 3
#endif
#ifndef MORE
#define MORE 0
#endif

#define N    (WORDS * WORD_BITS - THREADS + MORE)
#define FULL ((1 << WORD_BITS) - 1)

byte word[WORDS];
byte seq[WORDS];

byte owned; /* ops held, with those whose release has not taken effect */
byte on_its_way[THREADS]; /* of these, put through the shared lane, and not yet counted */
byte held;  /* how many */

bit lock;
byte waiter_count;
byte queue[THREADS];
byte handed[THREADS]; /* the op that a waiter was handed, as a bit; 0: none yet */

bool was_empty, was_asleep;

inline lowest(mask, result)
{
    result = 1;
    do
    :: !(mask & result) -> result = result << 1
    :: else -> break
    od
}

/* The op becomes somebody's. One that is on its way was held until now and goes on being held. */
inline own(op)
{
    j = 0;
    do
    :: j < THREADS && !(on_its_way[j] & op) -> j++
    :: else -> break
    od;
    if
    :: j < THREADS -> on_its_way[j] = on_its_way[j] & ~op
    :: else -> assert(!(owned & op)); owned = owned | op; held++
    fi;
    j = 0
}

/* Takes one op, or with all what a word has: the lowest is left in op, the rest in lane. 0: none.
 */
inline take(op, all)
{
    do
    :: before = 0; i = 0;
       do
       :: i < WORDS && op == 0 ->
          before = before + seq[(_pid + i) % WORDS];
          d_step {
              w = (_pid + i) % WORDS;
              if
              :: word[w] && all -> lowest(word[w], op); lane = (word[w] & ~op) << (w * WORD_BITS);
                 word[w] = 0; op = op << (w * WORD_BITS); own(op)
              :: word[w] && !all -> lowest(word[w], op); word[w] = word[w] & ~op;
                 op = op << (w * WORD_BITS); own(op)
              :: else -> skip
              fi;
              i++
          }
       :: else -> break
       od;
       if
       :: op != 0 -> break
       :: else -> held_then = held; after = 0; i = 0;
          do
          :: i < WORDS -> after = after + seq[i]; i++
          :: else -> break
          od;
#ifndef NORECHECK
          if
          :: after != before -> skip
          :: else -> assert(held_then >= N); was_empty = true; break
          fi
#else
          assert(held_then >= N); was_empty = true; break
#endif
       fi
    od;
    skip; /* a break must not end within a d_step */
    d_step { before = 0; after = 0; i = 0; w = 0; held_then = 0 }
}

/* Sets the op's bit in its word, then counts. */
inline put(op)
{
    d_step {
        w = 0;
        do
        :: !((FULL << (w * WORD_BITS)) & op) -> w++
        :: else -> break
        od;
        assert(!(word[w] & (op >> (w * WORD_BITS))));
        word[w] = word[w] | (op >> (w * WORD_BITS))
    };
    d_step {
#ifndef NOCOUNT
        seq[w]++;
#endif
        w = 0;
        if
        :: on_its_way[self] & op ->
           on_its_way[self] = on_its_way[self] & ~op; owned = owned & ~op; held--
        :: else -> skip
        fi
    }
}

inline lane_take(op, share)
{
    op = 0;
    if
    :: share -> take(op, false)
    :: !share && lane != 0 -> d_step { op = lane; lane = 0; own(op) }
    :: !share && lane == 0 -> take(op, true)
    fi
}

inline lane_put(op, share)
{
    if
    :: share -> on_its_way[self] = on_its_way[self] | op; put(op)
    :: else ->
       if
       :: lane != 0 -> put(lane)
       :: else -> skip
       fi;
       d_step { lane = op; owned = owned & ~op; held-- }
    fi
}

/* Under the lock: hands to the oldest waiters what lane and freelist have. */
inline serve(share)
{
    do
    :: waiter_count != 0 ->
       lane_take(extra, share);
       if
       :: extra == 0 -> break
       :: else ->
          d_step {
              handed[queue[0]] = extra;
              extra = 0;
              waiter_count--;
              j = 0;
              do
              :: j < THREADS - 1 -> queue[j] = queue[j + 1]; j++
              :: else -> break
              od;
              j = 0
          }
       fi
    :: else -> break
    od
}

inline attend(share)
{
    if
    :: waiter_count != 0 -> atomic { lock == 0 -> lock = 1 }; serve(share); lock = 0
    :: else -> skip
    fi
}

inline release(op, share)
{
#ifdef LOOKFIRST
    attend(share);
    lane_put(op, share)
#else
    lane_put(op, share);
    attend(share)
#endif
}

inline wait(share)
{
    atomic { lock == 0 -> lock = 1 };
    d_step { queue[waiter_count] = self; waiter_count++ };
    serve(share);
    lock = 0;
    if
    :: handed[self] == 0 -> was_asleep = true
    :: else -> skip
    fi;
    handed[self] != 0; /* asleep until then */
    d_step { mine = mine | handed[self]; handed[self] = 0 }
}

proctype thread(byte self)
{
    byte lane, mine, op, extra, rounds;
    byte before, after, i, w, j, held_then;
    bit share;

    do
    :: rounds < ROUNDS ->
       rounds++;
       if
       :: share = 0
       :: share = 1
       fi;
       if
       :: lane_take(op, share);
          if
          :: op != 0 -> d_step { mine = mine | op; op = 0 }
          :: else -> skip
          fi
#ifdef WAITERS
       :: mine == 0 -> wait(share) /* whoever holds and waits may wait for himself */
#endif
       :: mine != 0 ->
          d_step { lowest(mine, op); mine = mine & ~op };
          release(op, share);
          op = 0
       fi;
       share = 0
    :: else -> break
    od;
    do
    :: mine != 0 ->
       d_step { lowest(mine, op); mine = mine & ~op };
       release(op, 0);
       op = 0
    :: else -> break
    od
}

init
{
    byte k;

    atomic {
        do
        :: k < WORDS -> word[k] = FULL; k++
        :: else -> break
        od;
        k = 0;
        do
        :: k < THREADS -> run thread(k); k++
        :: else -> break
        od
    };
    (_nr_pr == 1);
    assert(held == 0 && owned == 0 && waiter_count == 0);
    /* Reached or not, as a search for the opposite tells. */
#ifdef NEVER_EMPTY
    assert(!was_empty)
#endif
#ifdef NEVER_ASLEEP
    assert(!was_asleep)
#endif
}
