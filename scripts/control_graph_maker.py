"""Random graphs with conditions, loops, functions, constants and shapes inside them, for make_control_graphs.py."""
import numpy as np
import tensorflow as tf
from tensorflow.python.framework import function

v1 = tf.compat.v1
SHAPE = (2, 3)  # of every value that parts of a graph exchange


class Maker:
    """Builds one graph. Values are float32 [2, 3]; whatever else there is stays inside a part."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.v2 = bool(seed % 2)
        self.budget = int(self.rng.integers(8, 30))
        self.shared = {}
        self.made = 0

    def chance(self, share):
        return self.rng.random() < share

    def pick(self, items):
        return items[int(self.rng.integers(len(items)))]

    def array(self, *shape):
        return self.rng.normal(0, 0.5, shape).astype("f4")

    def const(self, *shape):
        return tf.constant(self.array(*shape))

    # --- straight parts: a value -> a value

    def by_constant(self, x):
        op = self.pick([tf.add, tf.multiply, tf.subtract, tf.maximum])
        c = self.const(*self.pick([(), (3,), (1, 3), SHAPE]))
        return op(x, c) if self.chance(0.7) else op(c, x)

    def by_folded(self, x):
        kind = int(self.rng.integers(6))
        if kind == 0:
            c = tf.fill([2, 3], float(self.rng.normal())) * 2.0
        elif kind == 1:
            c = tf.reshape(tf.cast(tf.range(6), tf.float32), SHAPE) * 0.1
        elif kind == 2:
            c = tf.concat([tf.zeros([1, 3]), tf.ones([1, 3]) * 0.5], 0)
        elif kind == 3:
            c = tf.add_n(tf.split(self.const(2, 6), 2, axis=1))
        elif kind == 4:
            c = tf.unstack(self.const(4, 2, 3))[int(self.rng.integers(4))]
        else:
            c = tf.constant(0.5) * tf.sqrt(tf.constant(2.0))
        return x + c

    def by_shape(self, x):
        kind = int(self.rng.integers(5))
        if kind == 0:
            return x * tf.cast(tf.raw_ops.Size(input=x), tf.float32) * 0.1
        if kind == 1:
            return x + tf.cast(tf.raw_ops.Rank(input=x), tf.float32)
        if kind == 2:
            return x * tf.cast(tf.raw_ops.Shape(input=x)[int(self.rng.integers(2))], tf.float32) * 0.3
        if kind == 3:
            return tf.reshape(tf.transpose(x), tf.raw_ops.Shape(input=x))
        return tf.fill(tf.raw_ops.Shape(input=x), 0.25) - x

    def same(self, x):
        kind = int(self.rng.integers(7))
        if kind == 0:
            return tf.identity(x)
        if kind == 1:
            return tf.debugging.check_numerics(x, "bad")
        if kind == 2:
            return tf.stop_gradient(x)
        if kind == 3:
            return tf.raw_ops.IdentityN(input=[x, tf.constant(1.0)])[0]
        if kind == 4:
            return tf.reshape(x, SHAPE)
        if kind == 5:
            return x * tf.ones([]) if self.chance(0.5) else x / tf.constant(1.0)
        return tf.raw_ops.PreventGradient(input=x)

    def curve(self, x):
        return self.pick([tf.nn.relu, tf.tanh, tf.sigmoid, tf.nn.relu6, tf.negative, tf.abs])(x)

    def weights(self, *shape):
        """Often those of another layer, from outside or inside of this part."""
        scope = v1.get_default_graph()
        key = (id(scope), shape)
        if self.chance(0.4) and key in self.shared and self.shared[key][1] == self.depth_key():
            return self.shared[key][0]
        w = self.const(*shape)
        if self.chance(0.3):
            w = tf.identity(w)
        self.shared[key] = (w, self.depth_key())
        return w

    def depth_key(self):
        context = v1.get_default_graph()._get_control_flow_context()
        return (id(v1.get_default_graph()), id(context))

    def linear(self, x):
        channels = int(self.rng.integers(1, 5))
        kind = int(self.rng.integers(4))
        if kind == 0:
            y = self.behind_linear(tf.matmul(x, self.weights(3, channels), transpose_b=False), channels)
            return tf.matmul(y, self.weights(channels, 3))
        y = tf.reshape(x, [1, 2, 3, 1])
        if kind == 1:
            y = tf.nn.conv2d(tf.pad(y, [[0, 0], [1, 1], [1, 1], [0, 0]]), self.weights(3, 3, 1, channels), 1, "VALID")
        elif kind == 2:
            y = tf.nn.conv2d(y, self.weights(3, 3, 1, channels), 1, "SAME")
        else:
            y = tf.nn.depthwise_conv2d(y, self.weights(3, 3, 1, channels), [1, 1, 1, 1], "SAME")
        y = self.behind_linear(y, channels)
        if self.chance(0.3):
            y = tf.concat([y, tf.nn.conv2d(tf.reshape(x, [1, 2, 3, 1]), self.weights(1, 1, 1, 2), 1, "SAME")], 3)
            channels += 2
            y = self.batch_norm(y, channels)
        y = tf.nn.conv2d(tf.nn.relu(y) if self.chance(0.5) else y, self.weights(1, 1, channels, 1), 1, "SAME")
        return tf.reshape(y, SHAPE)

    def batch_norm(self, y, c):
        positive = lambda: tf.constant(self.rng.uniform(0.5, 2, c).astype("f4"))  # noqa: E731
        return tf.raw_ops.FusedBatchNormV3(x=y, scale=positive(), offset=self.const(c), mean=self.const(c), variance=positive(), epsilon=1e-3,
                                           is_training=False).y

    def behind_linear(self, y, c):
        kind = int(self.rng.integers(6))
        if kind == 0 and y.shape.rank == 4:
            return self.batch_norm(y, c)
        if kind == 1:
            return y * self.const(c)
        if kind == 2:
            return tf.nn.bias_add(y, self.const(c)) * self.const(c)
        if kind == 3:
            return tf.nn.bias_add((y - self.const(c)) / tf.constant(self.rng.uniform(0.5, 2, c).astype("f4")) * self.const(c), self.const(c))
        if kind == 4:
            return y * self.const(c) + self.const(c)
        return y + self.const(c)

    # --- control

    def flag(self, values):
        kind = int(self.rng.integers(9))
        if kind < 3:
            f = self.pick(self.flags)
        elif kind == 3:
            f = tf.constant(self.chance(0.5))
        elif kind == 4:
            f = tf.reduce_sum(self.pick(values)) > float(self.rng.normal())
        elif kind == 5:
            f = tf.logical_not(self.pick(self.flags))
        elif kind == 6:
            f = tf.less(tf.raw_ops.Size(input=self.pick(values)), int(self.rng.integers(5, 8)))
        elif kind == 7:
            f = self.pick(self.flags)
            f = tf.logical_and(f, tf.constant(self.chance(0.7)))
        else:
            f = self.defaulted
        return tf.identity(f) if self.chance(0.2) else f

    def condition(self, values, depth):
        if self.chance(0.25):
            branches = [lambda: self.part(values, depth) for _ in range(int(self.rng.integers(2, 5)))]
            return tf.switch_case(self.number + int(self.rng.integers(-1, 2)), branches)
        if self.chance(0.3):
            two = tf.cond(self.flag(values), lambda: [self.part(values, depth), self.part(values, depth)], lambda: [self.part(values, depth), self.pick(values) * 1.0])
            return two[0] + two[1] if self.chance(0.6) else two[1]
        if self.chance(0.2):
            return tf.cond(self.flag(values), lambda: self.const(*SHAPE), lambda: self.part(values, depth))
        return tf.cond(self.flag(values), lambda: self.part(values, depth), lambda: self.part(values, depth))

    def turns(self):
        return self.pick([tf.constant(0), tf.constant(1), tf.constant(3), self.number + 1, tf.raw_ops.Rank(input=self.x)])

    def loop(self, values, depth):
        limit = self.turns()
        start = self.pick(values)
        if self.chance(0.35):
            return self.array_loop(values, start, depth)
        if self.chance(0.3):  # several variables, one that only the condition looks at
            out = v1.while_loop(lambda i, a, b: tf.logical_and(i < limit, tf.reduce_sum(tf.abs(a)) < 50.0),
                                lambda i, a, b: (i + 1, tf.tanh(self.part([a, b] + values, depth)), a * 0.5), [tf.constant(0), start, self.pick(values)],
                                parallel_iterations=int(self.pick([1, 10])))
            return out[1] - out[2]
        return v1.while_loop(lambda i, a: i < limit, lambda i, a: (i + 1, tf.tanh(self.part([a] + values, depth))), [tf.constant(0), start])[1]

    def array_loop(self, values, start, depth):
        count = int(self.rng.integers(1, 4))
        array = tf.TensorArray(tf.float32, size=count, element_shape=SHAPE if self.chance(0.7) else None, infer_shape=self.chance(0.7))

        def body(i, a, state):
            state = tf.tanh(self.part([state] + values, depth))
            return i + 1, a.write(i, state * 2.0), state

        _, array, state = v1.while_loop(lambda i, a, s: i < count, body, [tf.constant(0), array, start])
        stacked = array.stack() if self.chance(0.6) else array.gather(tf.range(count))
        return tf.reshape(tf.reduce_sum(stacked, 0), SHAPE) + state

    def raw_switch(self, values, depth):
        """Switch and Merge without tf.cond: control edges from pivots, value_index, ends that nobody reads."""
        x, flag = self.pick(values), self.flag(values)
        s = tf.raw_ops.Switch(data=x, pred=flag)
        no, yes = s.output_false, s.output_true
        self.shared = {}  # weights of one way do not live on the other
        with tf.control_dependencies([tf.identity(yes)]):
            c = self.const(*SHAPE) if self.chance(0.5) else tf.fill([2, 3], 1.5)
            yes = self.straight(self.straight(yes)) + c if self.chance(0.6) else c * 2.0
        self.shared = {}
        with tf.control_dependencies([tf.identity(no)]):
            no = tf.negative(self.straight(no)) if self.chance(0.5) else tf.identity(tf.ones(SHAPE)) * tf.constant(3.0)
        self.shared = {}
        if self.chance(0.3):
            tf.identity(yes, name=f"dead_end_{self.name()}")
        m = tf.raw_ops.Merge(inputs=[no, yes])
        out = tf.ensure_shape(m.output, SHAPE)
        return out + tf.cast(m.value_index, tf.float32) if self.chance(0.4) else out

    def call(self, values, depth):
        a, b = self.pick(values), self.pick(values)
        kind = int(self.rng.integers(4))
        saved = (self.x, self.flags, self.number, self.defaulted)

        def body(x, y, *outer):
            self.x, self.number, self.defaulted, self.flags = x, outer[0], outer[1], list(outer[2:])
            out = self.part([x, y], depth)
            self.x, self.flags, self.number, self.defaulted = saved
            return out, y + self.const(*SHAPE), self.const(*SHAPE)

        outer = [self.number, self.defaulted] + self.flags
        if kind == 0 and not self.v2:
            name = f"defun_{self.name()}"
            f = function.Defun(tf.float32, tf.float32, tf.int32, *[tf.bool] * (len(outer) - 1), func_name=name)(lambda *args: body(*[self.shaped(v) for v in args]))
            first = f(a, b, *outer)
            again = f(b, a, *outer) if self.chance(0.5) else first
            return self.shaped(first[0]) + self.shaped(again[1]) + self.shaped(first[2])
        f = tf.function(body, autograph=False, jit_compile=None)
        first = f(a, b, *outer)
        again = f(first[0], a, *outer) if self.chance(0.4) else first
        return first[0] * again[2] + again[1]

    def compiled(self, x):
        """A function that must be compiled, as Keras makes of a convolution of several groups."""
        groups, width = int(self.rng.integers(2, 4)), int(self.rng.integers(1, 3))

        @tf.function(autograph=False, jit_compile=True)
        def grouped(y, w):
            return tf.nn.conv2d(y, w, 1, "SAME")

        y = tf.reshape(x, [1, 2, 3, 1]) * self.const(groups * width)
        y = tf.ensure_shape(y, [1, 2, 3, groups * width])
        y = grouped(y, self.const(3, 3, width, groups * 2))
        y = self.behind_linear(tf.ensure_shape(y, [1, 2, 3, groups * 2]), groups * 2)
        return tf.reshape(tf.reduce_mean(tf.nn.relu(y), 3), SHAPE)

    def shaped(self, v):
        if v.dtype == tf.float32:
            v.set_shape(SHAPE)
        else:
            v.set_shape([])
        return v

    def name(self):
        self.made += 1
        return self.made

    def edges(self, values):
        """Something to wait for."""
        kind = int(self.rng.integers(4))
        if kind == 0:
            return tf.debugging.Assert(tf.constant(True), [tf.constant(1)])
        if kind == 1:
            return tf.no_op()
        if kind == 2:
            return tf.identity(self.pick(values))
        return tf.constant(2.0)

    def straight(self, x):
        return self.pick([self.by_constant, self.by_folded, self.by_shape, self.same, self.curve, self.linear])(x)

    def part(self, values, depth=0):
        """One to four steps; deeper parts are shorter."""
        values = list(values)
        x = self.pick(values)
        for _ in range(int(self.rng.integers(1, 5 - min(depth, 3)))):
            self.budget -= 1
            roll = self.rng.random() if self.budget > 0 and depth < 3 else 1
            if roll < 0.22:
                x = self.condition(values, depth + 1)
            elif roll < 0.34:
                x = self.loop(values, depth + 1)
            elif roll < 0.42:
                x = self.raw_switch(values, depth + 1) if self.raw_allowed() else self.straight(x)
            elif roll < 0.50:
                x = self.call(values, depth + 1)
            elif self.chance(0.15):
                with tf.control_dependencies([self.edges(values)]):
                    x = self.straight(x)
            else:
                x = self.straight(x)
            x = tf.tanh(x) if self.chance(0.2) else x
            x = tf.ensure_shape(x, SHAPE) if x.shape != SHAPE else x
            values.append(x)
        return values[-1] + self.pick(values) if self.chance(0.3) else values[-1]

    def raw_allowed(self):
        """A Merge inside the functions of If, Case and While is no form that TensorFlow makes."""
        return not self.v2 or not v1.get_default_graph().building_function

    def build(self):
        self.x = v1.placeholder(tf.float32, SHAPE, name="x")
        open_shape = v1.placeholder(tf.float32, [None, 3], name="y")
        y = tf.ensure_shape(open_shape, SHAPE) if self.chance(0.5) else tf.reshape(open_shape, SHAPE)
        self.flags = [v1.placeholder(tf.bool, [], name=f"flag_{i}") for i in range(2)]
        self.number = v1.placeholder(tf.int32, [], name="number")
        self.defaulted = v1.placeholder_with_default(self.chance(0.5), [], name="defaulted")
        if self.chance(0.06):
            y = self.compiled(y)
        names = []
        values = [self.x, y]
        for i in range(int(self.rng.integers(1, 4))):
            out = self.part(values)
            values.append(out)
            names.append(f"out_{i}")
            tf.identity(out, name=names[-1]) if self.chance(0.7) else tf.nn.relu(out, name=names[-1])
        return names

    def feeds(self):
        """Flags both ways; the defaulted one is fed in all cases of a graph or in none."""
        fed = self.chance(0.4)
        cases = []
        for flags in ((False, False, 0), (True, False, 1), (False, True, 2), (True, True, -1)):
            feed = {"x": self.array(*SHAPE).round(3), "y": self.array(*SHAPE).round(3), "flag_0": np.array(flags[0]), "flag_1": np.array(flags[1]), "number": np.array(flags[2], "i4")}
            if fed:
                feed["defaulted"] = np.array(flags[0] != flags[1])
            cases.append(feed)
        return cases
