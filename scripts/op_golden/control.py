import numpy as np
import tensorflow as tf

from op_golden.recorder import case

v1 = tf.compat.v1
i32, f32 = np.int32, np.float32


def loops(f):
    """Conditions and loops as TensorFlow 1 writes them: Switch, Merge, Enter, ... instead of function calls."""
    def make(g):
        v1.disable_control_flow_v2()
        try:
            with g.graph.as_default():
                f(g)
        finally:
            v1.enable_control_flow_v2()
    return make


@case("conditions")
@loops
def conditions(g):
    x = g.feed(g.rand(3))
    for taken in (True, False):
        p = g.feed(np.array(taken))
        g.fetch(v1.cond(p, lambda: x * 2.0, lambda: x - 1.0))
        q = g.feed(np.array(not taken))
        g.fetch(v1.cond(p, lambda: v1.cond(q, lambda: x + 1.0, lambda: x + 2.0), lambda: v1.cond(q, lambda: x + 3.0, lambda: tf.reverse(x, [0]))))
    switched = tf.raw_ops.Switch(data=x, pred=g.feed(np.array(True)))
    merged = tf.raw_ops.Merge(inputs=[switched[0] + 5.0, switched[1] * 3.0])
    g.fetch(merged[0], merged[1])


@case("while_loops")
@loops
def while_loops(g):
    x, n = g.feed(g.rand(2, 2)), g.feed(np.array(5, i32))
    g.fetch(v1.while_loop(lambda i, a: i < n, lambda i, a: [i + 1, a * .5 + x], [tf.constant(0), x]))
    # No iteration at all; a growing shape; a loop within a loop; a condition within a loop; a loop within a condition.
    g.fetch(v1.while_loop(lambda i: i < 0, lambda i: i + 1, [tf.constant(3)]))
    g.fetch(v1.while_loop(lambda i, a: i < 3, lambda i, a: [i + 1, tf.concat([a, x], 0)], [tf.constant(0), x], shape_invariants=[tf.TensorShape([]), tf.TensorShape([None, 2])])[1])

    def outer(i, a):
        _, b = v1.while_loop(lambda j, b: j < i, lambda j, b: [j + 1, b + x * tf.cast(i, tf.float32)], [tf.constant(0), a])
        return [i + 1, b]
    g.fetch(v1.while_loop(lambda i, a: i < 4, outer, [tf.constant(0), x]))
    g.fetch(v1.while_loop(lambda i, a: i < 6, lambda i, a: [i + 1, v1.cond(tf.equal(i % 2, 0), lambda: a + 1.0, lambda: a * 2.0)], [tf.constant(0), x]))
    for taken in (True, False):
        g.fetch(v1.cond(g.feed(np.array(taken)), lambda: v1.while_loop(lambda i: i < 7, lambda i: i + 2, [tf.constant(0)]), lambda: tf.constant(-1)))


@case("tensor_arrays")
@loops
def arrays(g):
    x = g.feed(g.rand(4, 3))
    a = tf.TensorArray(tf.float32, 4, clear_after_read=False).unstack(x)
    b = tf.TensorArray(tf.float32, 4, clear_after_read=False)
    _, b = v1.while_loop(lambda i, b: i < 4, lambda i, b: [i + 1, b.write(i, a.read(3 - i) * 2.0)], [tf.constant(0), b])
    g.fetch(b.stack(), b.size(), b.gather([2, 0]))
    c = tf.TensorArray(tf.float32, 3, infer_shape=False, clear_after_read=False).split(x, [1, 0, 3])
    g.fetch(c.concat(), c.read(2))
    d = tf.TensorArray(tf.int32, 0, dynamic_size=True).write(2, 7).write(0, 5).write(1, 6)
    with tf.control_dependencies([tf.raw_ops.TensorArrayCloseV3(handle=tf.TensorArray(tf.int32, 2).handle)]):
        g.fetch(d.stack(), d.size())


def functions(f):
    """As TensorFlow 2 writes them: nodes that name library functions."""
    def make(g):
        g.calls_functions = True
        with g.graph.as_default():
            f(g)
    return make


@case("functional_control")
@functions
def functional(g):
    x, n = g.feed(g.rand(2, 2)), g.feed(np.array(4, i32))
    for taken in (True, False):
        p, q = g.feed(np.array(taken)), g.feed(np.array(not taken))
        g.fetch(tf.cond(p, lambda: (x * 2.0, x[0]), lambda: (x - 1.0, x[1])))
        g.fetch(tf.cond(p, lambda: tf.cond(q, lambda: x + 1.0, lambda: x + 2.0), lambda: tf.cond(q, lambda: x + 3.0, lambda: tf.reverse(x, [0]))))
    g.fetch(tf.while_loop(lambda i, a: i < n, lambda i, a: [i + 1, tf.cond(tf.equal(i % 2, 0), lambda: a + 1.0, lambda: a * 2.0)], [tf.constant(0), x]))
    g.fetch(tf.while_loop(lambda i: i < 0, lambda i: i + 1, [tf.constant(3)]))

    def outer(i, a):
        return [i + 1, tf.while_loop(lambda j, b: j < i, lambda j, b: [j + 1, b + x * tf.cast(i, tf.float32)], [tf.constant(0), a])[1]]
    g.fetch(tf.while_loop(lambda i, a: i < 4, outer, [tf.constant(0), x])[1])
    for k in (0, 1, 2, 7, -1):
        g.fetch(tf.switch_case(g.feed(np.array(k, i32)), [lambda: x, lambda: x * 2.0, lambda: x * 3.0]))


@case("tensor_lists")
@functions
def lists(g):
    x = g.feed(g.rand(4, 3))
    a = tf.TensorArray(tf.float32, 4).unstack(x)
    b = tf.while_loop(lambda i, b: i < 4, lambda i, b: [i + 1, b.write(i, a.read(3 - i) * 2.0)], [tf.constant(0), tf.TensorArray(tf.float32, 4)])[1]
    g.fetch(b.stack(), b.size(), b.gather([2, 0]))
    c = tf.TensorArray(tf.float32, 3, infer_shape=False).split(x, [1, 0, 3])
    g.fetch(c.concat(), c.read(2))
    d = tf.TensorArray(tf.int32, 0, dynamic_size=True).write(2, 7).write(0, 5)
    g.fetch(d.write(1, 6).stack(), d.scatter([1, 3], [8, 9]).stack(), d.size())
    g.fetch(tf.map_fn(lambda r: tf.reduce_max(r) * r, x), tf.scan(lambda p, q: p * .5 + q, x))
    raw = tf.raw_ops
    empty = raw.EmptyTensorList(element_shape=[3], max_num_elements=-1, element_dtype=tf.float32)
    two = raw.TensorListPushBack(input_handle=raw.TensorListPushBack(input_handle=empty, tensor=x[0]), tensor=x[1])
    one, last = raw.TensorListPopBack(input_handle=two, element_shape=[3], element_dtype=tf.float32)
    three = raw.TensorListResize(input_handle=one, size=3)
    # A list that is changed stays what it was for who reads it before or after.
    first = raw.TensorListSetItem(input_handle=three, index=0, item=x[2])
    second = raw.TensorListSetItem(input_handle=first, index=2, item=x[3])
    for handle in (two, one, three, first, second, raw.TensorListScatterV2(tensor=x[:2], indices=[2, 0], element_shape=[3], num_elements=4)):
        g.fetch(raw.TensorListStack(input_handle=handle, element_shape=[3], element_dtype=tf.float32, num_elements=-1), raw.TensorListLength(input_handle=handle))
    g.fetch(last)
