import { describe, expect, test } from 'vitest';
import { Health } from '../../../src/ops/health.ts';
import { PrometheusMetrics } from '../../../src/ops/metrics.ts';

describe('Health', () => {
  test('serves when no reason against it is left, and tells every change of the answer once', () => {
    const health = new Health();
    const seen: string[] = [];
    const stop = health.onChange(() => seen.push(health.status()));
    expect(health.status()).toBe('notServing');
    health.set('store', true);
    health.set('starting', false);
    expect(health.reasons()).toEqual(['store']);
    health.set('store', false);
    health.set('store', false);
    health.set('draining', true);
    stop();
    health.set('draining', false);
    expect(seen).toEqual(['serving', 'notServing']);
    expect(health.status()).toBe('serving');
  });
});

describe('Prometheus metrics', () => {
  test('counters, gauges and histograms appear in the text', async () => {
    using metrics = new PrometheusMetrics();
    metrics.count('chat_messages_sent_total');
    metrics.count('chat_messages_sent_total', undefined, 2);
    metrics.count('rpc_calls_total', { method: 'SendMessage' });
    metrics.gauge('sessions', 7);
    metrics.observe('rpc_duration_seconds', 0.002, { method: 'SendMessage' });
    const text = await metrics.text();
    expect(text).toContain('chat_messages_sent_total 3');
    expect(text).toContain('rpc_calls_total{method="SendMessage"} 1');
    expect(text).toContain('sessions 7');
    expect(text).toContain('rpc_duration_seconds_count{method="SendMessage"} 1');
    expect(text).toContain('chat_event_loop_delay_p99_seconds');
  });

  test('two apps in one process do not mix', async () => {
    using first = new PrometheusMetrics();
    using second = new PrometheusMetrics();
    first.count('only_first_total');
    expect(await second.text()).not.toContain('only_first_total');
  });
});
