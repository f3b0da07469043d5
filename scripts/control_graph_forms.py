"""Forms of conditions, loops and functions that random graphs seldom hold, for make_control_graphs.py. Each row of FORMS builds a
graph from the inputs x float32 [2, 3], p bool, k int32, and returns the names of its outputs.
"""
import numpy as np
import tensorflow as tf

v1 = tf.compat.v1
rng = np.random.default_rng(1)
raw = tf.raw_ops


def inputs():
    return v1.placeholder(tf.float32, [2, 3], name="x"), v1.placeholder(tf.bool, [], name="p"), v1.placeholder(tf.int32, [], name="k")


def numbers(*shape):
    return tf.constant(rng.normal(size=shape).astype("f4"))


def out(y):
    tf.identity(y, name="out")
    return ["out"]


def if_of_a_number():
    x, _, k = inputs()
    one = tf.function(lambda v: v + 1.0).get_concrete_function(tf.TensorSpec([2, 3]))
    two = tf.function(lambda v: v * 2.0).get_concrete_function(tf.TensorSpec([2, 3]))
    return out(raw.If(cond=k, input=[x], Tout=[tf.float32], then_branch=one, else_branch=two)[0])


def if_without_outputs():
    x, p, k = inputs()
    done = tf.cond(p, lambda: tf.debugging.Assert(tf.constant(True), [k]), lambda: tf.no_op())
    with tf.control_dependencies([done]):
        return out(x * 2.0)


def case_in_loop():
    x, _, k = inputs()

    def body(i, a):
        y = tf.switch_case(i, [lambda: a + 1.0, lambda: tf.fill([2, 3], 3.0) * 2.0, lambda: a * tf.cast(raw.Size(input=a), tf.float32)])
        return i + 1, tf.tanh(y)

    return out(v1.while_loop(lambda i, a: i < k, body, [tf.constant(0), x])[1])


def map_and_scan():
    x, _, _ = inputs()
    mapped = tf.map_fn(lambda r: tf.cond(tf.reduce_sum(r) > 0.0, lambda: r * 2.0, lambda: tf.zeros([3]) + 1.0), x)
    return out(mapped + tf.scan(lambda a, b: a + b * tf.ones([3]), x))


def switches_in_switches():
    x, p, _ = inputs()
    a, b = raw.Switch(data=x, pred=p), raw.Switch(data=x * 2.0, pred=p)
    with tf.control_dependencies([tf.identity(a.output_true)]):
        c, size = tf.fill([2, 3], 2.0), raw.Size(input=a.output_true)
    yes = raw.IdentityN(input=[a.output_true * 1.0, b.output_true])
    yes = yes[0] * c / tf.ones([]) + tf.cast(size, tf.float32)
    inner = raw.Switch(data=b.output_false, pred=tf.greater(tf.reduce_sum(b.output_false), 0.0))
    with tf.control_dependencies([tf.identity(inner.output_true)]):
        t = tf.constant(3.0) * tf.constant(2.0)
    i = raw.Merge(inputs=[inner.output_false + 1.0, t * tf.ones([2, 3])])
    m = raw.Merge(inputs=[i.output + tf.cast(i.value_index, tf.float32), yes])
    tf.identity(m.value_index, name="index")
    return out(m.output) + ["index"]


def merge_of_three(counted):
    x, _, k = inputs()
    a = raw.Switch(data=x, pred=tf.equal(k, 0))
    b = raw.Switch(data=a.output_false, pred=tf.constant(False))
    m = raw.Merge(inputs=[a.output_true + 1.0, b.output_true * 2.0, b.output_false * 3.0])
    if counted:
        tf.identity(m.value_index, name="index")
    return out(m.output) + ["index"] * counted


def way_that_never_lives():
    """A Merge whose second input needs both ways of one Switch."""
    x, p, _ = inputs()
    s = raw.Switch(data=x, pred=p)
    with tf.control_dependencies([tf.identity(s.output_true)]):
        c = tf.fill([2, 3], 4.0)
    m = raw.Merge(inputs=[s.output_true + c, s.output_false * c])
    return out(raw.Merge(inputs=[m.output, s.output_false - 1.0]).output)


def loop_that_nobody_enters():
    x, _, k = inputs()
    return out(tf.cond(tf.constant(True), lambda: x + 1.0, lambda: v1.while_loop(lambda i, a: i < k, lambda i, a: (i + 1, a * 2.0), [0, x])[1]))


def loop_on_the_way_taken():
    x, _, k = inputs()
    turn = lambda i, a: (i + 1, tf.cond(tf.constant(True), lambda: a * 2.0 + tf.constant(1.0), lambda: a))  # noqa: E731
    return out(tf.cond(tf.constant(False), lambda: x + 1.0, lambda: v1.while_loop(lambda i, a: i < k, turn, [0, x])[1]))


def weights_enter_a_loop():
    x, _, k = inputs()
    w, b = numbers(3, 3), numbers(3)
    turn = lambda i, a: (i + 1, tf.tanh(tf.nn.bias_add(tf.matmul(a, w), b) * b + tf.constant([1.0, 2.0, 3.0])))  # noqa: E731
    return out(v1.while_loop(lambda i, a: i < k, turn, [0, x])[1])


def grouped_on_one_way():
    x, p, _ = inputs()
    grouped = tf.function(lambda y, w: tf.nn.conv2d(y, w, 1, "SAME"), jit_compile=True)

    def way():
        y = tf.ensure_shape(grouped(tf.reshape(x, [1, 2, 3, 1]) * tf.ones([4]), numbers(3, 3, 2, 6)), [1, 2, 3, 6])
        return tf.reduce_mean(tf.nn.relu(tf.nn.bias_add(y, tf.ones([6]))), 3)[0]

    return out(tf.cond(p, way, lambda: x * 1.0))


def grouped_branch():
    """The branch itself must be compiled, and is of a size that is only known when it runs."""
    x, p, k = inputs()
    wide = tf.tile(tf.reshape(x, [1, 2, 3, 1]), tf.stack([1, 1, 1, tf.constant(4) + 0 * k]))
    way = tf.function(lambda y: tf.reduce_mean(raw.Conv2D(input=y, filter=numbers(3, 3, 2, 6), strides=[1] * 4, padding="SAME"), 3), jit_compile=True)
    spec = tf.TensorSpec([1, None, None, None])
    other = tf.function(lambda y: y[:, :, :, 0] * 2.0)
    y = raw.If(cond=p, input=[wide], Tout=[tf.float32], then_branch=way.get_concrete_function(spec), else_branch=other.get_concrete_function(spec))[0]
    return out(tf.reshape(y, [2, 3]))


def way_that_a_sum_reads_twice():
    x, p, k = inputs()
    double = tf.function(lambda v: v + v)

    def way():
        one = x * tf.constant(1.0)
        return one + one + double(x)

    y = tf.cond(p, way, lambda: double(x) - tf.stop_gradient(x))
    return out(tf.switch_case(k, [lambda: y + y, lambda: y * 1.0, lambda: double(y) + double(y)]))


def calls_that_assert():
    x, p, _ = inputs()

    @tf.function
    def f(a, b):
        tf.debugging.Assert(tf.reduce_sum(tf.abs(a)) >= 0.0, [a])
        return a * 2.0, b + 1.0, tf.shape(b)

    y = f(x, x * 3.0)
    z = tf.cond(p, lambda: f(y[0], y[1])[1], lambda: f(y[1], y[0])[0])
    return out(z * tf.cast(y[2][1], tf.float32))


def suppression_on_one_way():
    x, p, _ = inputs()

    def way():
        boxes = tf.reshape(tf.concat([x, x + 1.0], 1), [-1, 4])
        return tf.cast(tf.image.non_max_suppression(boxes, tf.reduce_sum(boxes, 1), 2), tf.float32)[0] * tf.ones([2, 3])

    return out(tf.cond(p, way, lambda: x))


FORMS = {  # name: (builder, forms of TensorFlow's control flow)
    "if_of_a_number": (if_of_a_number, (2,)),
    "if_without_outputs": (if_without_outputs, (1, 2)),
    "case_in_loop": (case_in_loop, (1, 2)),
    "map_and_scan": (map_and_scan, (1, 2)),
    "switches_in_switches": (switches_in_switches, (1,)),
    "merge_of_three": (lambda: merge_of_three(False), (1,)),
    "counted_merge_of_three": (lambda: merge_of_three(True), (1,)),
    "way_that_never_lives": (way_that_never_lives, (1,)),
    "loop_that_nobody_enters": (loop_that_nobody_enters, (1, 2)),
    "loop_on_the_way_taken": (loop_on_the_way_taken, (1, 2)),
    "weights_enter_a_loop": (weights_enter_a_loop, (1, 2)),
    "grouped_on_one_way": (grouped_on_one_way, (1, 2)),
    "grouped_branch": (grouped_branch, (2,)),
    "way_that_a_sum_reads_twice": (way_that_a_sum_reads_twice, (1, 2)),
    "calls_that_assert": (calls_that_assert, (1, 2)),
    "suppression_on_one_way": (suppression_on_one_way, (1, 2)),
}


def feeds():
    """p and k in several ways."""
    for p, k in ((False, 0), (True, 2), (True, 5)):
        yield {"x": rng.normal(size=(2, 3)).astype("f4").round(3), "p": np.array(p), "k": np.array(k, "i4")}
