/** How the page of the configuration takes a configuration apart. */
import { expect, test } from 'vitest';
import { settingsOf } from '../../../src/dashboard/pages/configuration/settings.ts';

const config = {
  limits: { queueMessages: 7, queuePolicy: 'reject' },
  clientIds: [],
  hosts: ['a', 'b'],
  bridges: [{ name: 'up', topics: [{ filter: '#' }] }],
};
const deviations = [
  { path: 'limits.queueMessages', default: 10_000 },
  { path: 'hosts.1', default: 'c' },
  { path: 'bridges', default: [] },
];
const origins = [
  { path: 'limits.queueMessages', from: 'environment', where: 'SLUICE_LIMITS_QUEUE_MESSAGES' },
  { path: 'hosts.0', from: 'file', where: 'a.yaml:1:9' },
  { path: 'bridges.0', from: 'option', where: null },
] as const;
const settings = settingsOf(config, deviations, origins);

test('each setting is a row; lists of plain values stay together', () => {
  expect(settings.map(({ path, value }) => [path, value])).toEqual([
    ['limits.queueMessages', 7],
    ['limits.queuePolicy', 'reject'],
    ['clientIds', []],
    ['hosts', ['a', 'b']],
    ['bridges.0.name', 'up'],
    ['bridges.0.topics.0.filter', '#'],
  ]);
});

test('what is not as by default is told, also of an item and below', () => {
  const own = settings.filter(({ isDefault }) => !isDefault).map(({ path }) => path);
  expect(own).toEqual(['limits.queueMessages', 'hosts', 'bridges.0.name', 'bridges.0.topics.0.filter']);
  expect(settings[0]).toMatchObject({ usual: 10_000 });
  expect(settings[1]).not.toHaveProperty('usual');
});

test('what is set says where, also a list by its items, and a setting by what it is a part of', () => {
  expect(settings.map(({ origin }) => origin?.from)).toEqual([
    'environment',
    undefined,
    undefined,
    'file',
    'option',
    'option',
  ]);
});
