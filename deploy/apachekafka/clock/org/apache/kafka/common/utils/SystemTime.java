package org.apache.kafka.common.utils;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;

/**
 * Stands before Kafka's own class of this name on the class path, so that tests can play a month of
 * append times in seconds. The time of day is the machine's, moved by the milliseconds in the file
 * that -Dtollstream.clock names: eight bytes, big-endian. The file is mapped, so a move holds for
 * the very next record. Elapsed time is not moved; what waits, waits by that.
 */
class SystemTime implements Time {
    private static final SystemTime SYSTEM_TIME = new SystemTime();

    private final MappedByteBuffer moved = map(Path.of(System.getProperty("tollstream.clock")));

    public static SystemTime getSystemTime() {
        return SYSTEM_TIME;
    }

    private SystemTime() {
    }

    private static MappedByteBuffer map(Path file) {
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
            return channel.map(FileChannel.MapMode.READ_ONLY, 0, Long.BYTES);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public long milliseconds() {
        return System.currentTimeMillis() + moved.getLong(0);
    }

    @Override
    public long nanoseconds() {
        return System.nanoTime();
    }

    @Override
    public void sleep(long ms) {
        Utils.sleep(ms);
    }

    /** Waits until the condition holds or the deadline, in milliseconds() of the call, is past. */
    @Override
    public void waitObject(Object obj, Supplier<Boolean> condition, long deadlineMs)
            throws InterruptedException {
        long bound = deadlineMs - milliseconds();
        long start = System.nanoTime();
        synchronized (obj) {
            while (!condition.get()) {
                long left = bound - TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - start);
                if (left <= 0) {
                    throw new org.apache.kafka.common.errors.TimeoutException(
                        "Condition not satisfied before deadline");
                }
                obj.wait(left);
            }
        }
    }
}
