import { mkdtempSync, closeSync, openSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Writable } from 'node:stream';

import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';

import { FileSink, LogDestination, type LogSink, StreamSink } from '../../src/lib/log-destination.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A sink that does as it is told, and a destination before it. */
function useSink() {
  const written: string[] = [];
  const state = { outcome: 'taken' as ReturnType<LogSink['write']>, lost: 0 };
  const sink: LogSink = {
    write(text) {
      if (state.outcome === 'taken') written.push(text);
      return state.outcome;
    },
    settle: () => state.outcome !== 'busy',
  };
  const destination = new LogDestination({
    sink,
    describeLoss: (lines) => `lost ${lines}\n`,
    onLost: (lines) => (state.lost += lines),
  });
  return { destination, written, state };
}

/** A stream that takes chunks one by one, when it is told to. */
function usePipe() {
  const waiting: (() => void)[] = [];
  const stream = new Writable({ write: (_chunk, _encoding, done) => void waiting.push(done) });
  return { stream, sink: new StreamSink(stream), waiting };
}

function useFile() {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'log-'));
  const file = path.join(folder, 'log');
  const fd = openSync(file, 'a');
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return { fd, sink: new FileSink(fd), read: () => readFileSync(file, 'utf8') };
}

test('lines go out together: after 100 ms, or once there are 8 KB of them', () => {
  const { destination, written } = useSink();
  destination.write('a\n');
  destination.write('b\n');
  expect(written).toEqual([]);
  vi.advanceTimersByTime(100);
  expect(written).toEqual(['a\nb\n']);
  destination.write('x'.repeat(8192));
  expect(written).toHaveLength(2);
});

test('100,000 lines for a reader that stands still: 1 MB is kept, the rest is counted and told when it reads on', () => {
  const { destination, written, state } = useSink();
  const line = `${'x'.repeat(99)}\n`;
  state.outcome = 'busy';
  for (let count = 0; count < 100_000; count++) destination.write(line);
  vi.advanceTimersByTime(10_000);
  expect(state.lost).toBe(100_000 - Math.floor(1_048_576 / line.length));
  state.outcome = 'taken';
  vi.advanceTimersByTime(100);
  destination.write('next\n');
  vi.advanceTimersByTime(100);
  const lines = written.join('').split('\n');
  expect(lines[0]).toBe(`lost ${state.lost}`);
  expect(lines.filter((text) => text === line.trimEnd())).toHaveLength(100_000 - state.lost);
  expect(lines.slice(-2)).toEqual(['next', '']);
});

test('lines that a full disk refuses are counted, and told once it takes some again', () => {
  const { destination, written, state } = useSink();
  state.outcome = 'failed';
  destination.write('a\n');
  destination.write('b\n');
  vi.advanceTimersByTime(100);
  expect(state.lost).toBe(2);
  state.outcome = 'taken';
  destination.write('c\n');
  vi.advanceTimersByTime(100);
  expect(written).toEqual(['lost 2\nc\n']);
  destination.write('d\n');
  vi.advanceTimersByTime(100);
  expect(written).toEqual(['lost 2\nc\n', 'd\n']);
});

test('at the end, a reader that stands still is waited for 250 ms, and one that reads not at all', async () => {
  vi.useRealTimers();
  const { destination, written, state } = useSink();
  destination.write('last\n');
  await destination.drain();
  expect(written).toEqual(['last\n']);
  state.outcome = 'busy';
  destination.write('never\n');
  await destination.drain();
  expect(written).toEqual(['last\n']);
});

describe('a pipe', () => {
  test('that is not read takes one text, and the next once that has left', async () => {
    const { sink, waiting } = usePipe();
    expect([sink.write('a\n'), sink.settle(), sink.write('b\n')]).toEqual(['taken', false, 'busy']);
    waiting[0]?.();
    vi.useRealTimers();
    await expect.poll(() => sink.settle()).toBe(true);
    expect(sink.write('b\n')).toBe('taken');
  });

  test('whose reader has ended loses lines, and throws nothing', async () => {
    vi.useRealTimers();
    const { stream, sink } = usePipe();
    stream.destroy(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
    await expect.poll(() => sink.write('a\n')).toBe('failed');
    expect(sink.settle()).toBe(true);
  });
});

describe('a file', () => {
  test('has each text when write returns', () => {
    const { fd, sink, read } = useFile();
    expect([sink.write('ä\n'), sink.write('b\n'), sink.settle()]).toEqual(['taken', 'taken', true]);
    expect(read()).toBe('ä\nb\n');
    closeSync(fd);
  });

  test('that is closed loses lines, and throws nothing', () => {
    const { fd, sink } = useFile();
    closeSync(fd);
    expect([sink.write('a\n'), sink.settle()]).toEqual(['failed', true]);
  });

  test.runIf(process.platform === 'linux')('on a full disk loses lines, and throws nothing', () => {
    const fd = openSync('/dev/full', 'w');
    const sink = new FileSink(fd);
    expect([sink.write('a\n'), sink.settle(), sink.write('b\n')]).toEqual(['failed', true, 'failed']);
    closeSync(fd);
  });
});
