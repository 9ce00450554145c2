/** The Prometheus adapter of the core's `Metrics`, with one registry per app, so that two apps in a process do not mix. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Labels, Metrics } from '../core/metrics.ts';

/** Bounds of duration histograms, in seconds. */
const DURATION_BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export class PrometheusMetrics implements Metrics, Disposable {
  readonly #registry = new Registry();
  readonly #counters = new Map<string, Counter>();
  readonly #gauges = new Map<string, Gauge>();
  readonly #histograms = new Map<string, Histogram>();
  readonly #loopDelay: ReturnType<typeof monitorEventLoopDelay>;

  constructor() {
    collectDefaultMetrics({ register: this.#registry });
    this.#loopDelay = monitorEventLoopDelay({ resolution: 10 });
    this.#loopDelay.enable();
    const loopDelay = this.#loopDelay;
    new Gauge({
      name: 'chat_event_loop_delay_p99_seconds',
      help: 'p99 of the event loop delay since the last scrape',
      registers: [this.#registry],
      collect() {
        this.set(loopDelay.percentile(99) / 1e9);
        loopDelay.reset();
      },
    });
  }

  count(name: string, labels?: Labels, by = 1): void {
    let counter = this.#counters.get(name);
    if (counter === undefined) {
      counter = new Counter({ name, help: name, labelNames: Object.keys(labels ?? {}), registers: [this.#registry] });
      this.#counters.set(name, counter);
    }
    if (labels === undefined) counter.inc(by);
    else counter.inc(labels, by);
  }

  gauge(name: string, value: number, labels?: Labels): void {
    let gauge = this.#gauges.get(name);
    if (gauge === undefined) {
      gauge = new Gauge({ name, help: name, labelNames: Object.keys(labels ?? {}), registers: [this.#registry] });
      this.#gauges.set(name, gauge);
    }
    if (labels === undefined) gauge.set(value);
    else gauge.set(labels, value);
  }

  observe(name: string, value: number, labels?: Labels): void {
    let histogram = this.#histograms.get(name);
    if (histogram === undefined) {
      histogram = new Histogram({
        name,
        help: name,
        labelNames: Object.keys(labels ?? {}),
        buckets: DURATION_BUCKETS,
        registers: [this.#registry],
      });
      this.#histograms.set(name, histogram);
    }
    if (labels === undefined) histogram.observe(value);
    else histogram.observe(labels, value);
  }

  /** All metrics in the Prometheus text format. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  /** Media type of `text`. */
  get contentType(): string {
    return this.#registry.contentType;
  }

  [Symbol.dispose](): void {
    this.#loopDelay.disable();
    this.#registry.clear();
  }
}
