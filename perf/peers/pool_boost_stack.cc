// SPDX-License-Identifier: MIT
//
// The stack of pool_boost.c, which is C.

#include <boost/lockfree/stack.hpp>

static boost::lockfree::stack<void *, boost::lockfree::capacity<1024>> stack;

extern "C" void *boost_stack_pop()
{
    void *object = nullptr;

    stack.pop(object);
    return object;
}

extern "C" void boost_stack_push(void *object)
{
    while (!stack.bounded_push(object)) {
        // never: there is room for all
    }
}
