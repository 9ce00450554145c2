import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 30_000,
    hookTimeout: 30_000,
    // Machines that check changes are shared: a stall of seconds is no defect. What needed a second try is reported as such.
    retry: process.env.CI === undefined ? 0 : 1,
  },
});
