/** Which page stands at which address. */
import { createRootRoute, createRoute, createRouter, lazyRouteComponent } from '@tanstack/react-router'
import { administrationTabOf } from '../administration/administration-tabs.ts'
import { availabilityTabOf } from '../availability/availability-tabs.ts'
import { OverviewPage } from '../cluster/overview-page.tsx'
import { guestSearch } from '../guests/guest-search.ts'
import { withTexts } from '../i18n/texts.ts'
import { NotFoundPage } from './not-found-page.tsx'
import { Whole } from './whole.tsx'

const root = createRootRoute({ component: Whole, notFoundComponent: NotFoundPage })
const getParentRoute = () => root

const routeTree = root.addChildren([
  createRoute({ getParentRoute, path: '/', component: OverviewPage }),
  createRoute({
    getParentRoute,
    path: '/guests',
    component: lazyRouteComponent(
      withTexts(['guests'], () => import('../guests/guests-page.tsx')),
      'GuestsPage',
    ),
  }),
  createRoute({
    getParentRoute,
    path: '/guests/$guest',
    validateSearch: guestSearch,
    component: lazyRouteComponent(
      withTexts(['guests'], () => import('../guests/guest-page.tsx')),
      'GuestPage',
    ),
  }),
  createRoute({
    getParentRoute,
    path: '/console/$guest',
    component: lazyRouteComponent(
      withTexts(['consoles'], () => import('../consoles/console-window.tsx')),
      'ConsoleWindow',
    ),
  }),
  createRoute({
    getParentRoute,
    path: '/hosts',
    component: lazyRouteComponent(
      withTexts(['hosts'], () => import('../hosts/hosts-page.tsx')),
      'HostsPage',
    ),
  }),
  createRoute({
    getParentRoute,
    path: '/hosts/$host',
    component: lazyRouteComponent(
      withTexts(['hosts'], () => import('../hosts/host-page.tsx')),
      'HostPage',
    ),
  }),
  createRoute({
    getParentRoute,
    path: '/volumes',
    component: lazyRouteComponent(
      withTexts(['storage'], () => import('../storage/volumes-page.tsx')),
      'VolumesPage',
    ),
  }),
  createRoute({
    getParentRoute,
    path: '/networks',
    component: lazyRouteComponent(
      withTexts(['networks'], () => import('../networks/networks-page.tsx')),
      'NetworksPage',
    ),
  }),
  createRoute({
    getParentRoute,
    path: '/what-if',
    validateSearch: ({ what }: Record<string, unknown>): { what?: string } =>
      typeof what === 'string' ? { what } : {},
    component: lazyRouteComponent(
      withTexts(['foresight', 'hosts'], () => import('../foresight/what-if-page.tsx')),
      'WhatIfPage',
    ),
  }),
  createRoute({
    getParentRoute,
    path: '/availability',
    validateSearch: availabilityTabOf,
    component: lazyRouteComponent(
      withTexts(['availability'], () => import('../availability/availability-page.tsx')),
      'AvailabilityPage',
    ),
  }),
  createRoute({
    getParentRoute,
    path: '/administration',
    validateSearch: administrationTabOf,
    component: lazyRouteComponent(
      withTexts(
        ['administration', 'activity', 'delegation', 'certificate', 'realms'],
        () => import('../administration/administration-page.tsx'),
      ),
      'AdministrationPage',
    ),
  }),
  createRoute({
    getParentRoute,
    path: '/operations',
    component: lazyRouteComponent(
      withTexts(['activity'], () => import('../activity/operations-page.tsx')),
      'OperationsPage',
    ),
  }),
  createRoute({
    getParentRoute,
    path: '/events',
    component: lazyRouteComponent(
      withTexts(['activity'], () => import('../activity/events-page.tsx')),
      'EventsPage',
    ),
  }),
  createRoute({
    getParentRoute,
    path: '/account',
    component: lazyRouteComponent(
      withTexts(['session'], () => import('../session/account-page.tsx')),
      'AccountPage',
    ),
  }),
  createRoute({
    getParentRoute,
    path: '/create/machine',
    component: lazyRouteComponent(
      withTexts(['create', 'guests', 'options'], () => import('../guests/create-page.tsx')),
      'CreateMachinePage',
    ),
  }),
  createRoute({
    getParentRoute,
    path: '/create/container',
    component: lazyRouteComponent(
      withTexts(['create', 'guests', 'options'], () => import('../guests/create-page.tsx')),
      'CreateContainerPage',
    ),
  }),
])

export const router = createRouter({ routeTree, defaultPreload: 'intent', scrollRestoration: false })

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router
  }
}
