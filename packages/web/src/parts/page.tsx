/** What all pages are made of: a head with a title and what can be done, panels, facts, empty places. */
import type { ReactNode } from 'react'
import { Icon, type IconName } from './icon.tsx'
import classes from './page.module.css'

/** `fills`: as high as the screen, so that a table in it scrolls by itself and draws no more than is seen. */
export function Page({ fills, children }: { fills?: true; children: ReactNode }) {
  return (
    <div className={classes.page} data-fills={fills}>
      {children}
    </div>
  )
}

export function PageHead(props: {
  icon: IconName
  title: string
  /** In small letters above: what kind of thing this is. */
  kind?: string
  badges?: ReactNode
  actions?: ReactNode
}) {
  return (
    <div className={classes.head}>
      <span className={classes.headIcon}>
        <Icon name={props.icon} size={22} />
      </span>
      <div className={classes.headText}>
        {props.kind === undefined ? null : <span className={classes.kind}>{props.kind}</span>}
        <div className={classes.titleLine}>
          <h1 className={classes.title}>{props.title}</h1>
          {props.badges}
        </div>
      </div>
      {props.actions ? <div className={classes.actions}>{props.actions}</div> : null}
    </div>
  )
}

export function Panel({ title, aside, children }: { title: string; aside?: ReactNode; children: ReactNode }) {
  return (
    <section className={classes.panel} aria-label={title}>
      <div className={classes.panelHead}>
        <h2 className={classes.panelTitle}>{title}</h2>
        {aside}
      </div>
      {children}
    </section>
  )
}

export function Panels({ children }: { children: ReactNode }) {
  return <div className={classes.panels}>{children}</div>
}

export type Fact = readonly [label: string, value: ReactNode] | undefined

export function Facts({ items }: { items: readonly Fact[] }) {
  return (
    <dl className={classes.facts}>
      {items.map((item) =>
        item ? (
          <div key={item[0]} className={classes.fact}>
            <dt>{item[0]}</dt>
            <dd>{item[1]}</dd>
          </div>
        ) : null,
      )}
    </dl>
  )
}

/** `isPage`: there is nothing else on the page. */
export function Empty(props: { icon: IconName; title: string; text?: string; isPage?: true; children?: ReactNode }) {
  return (
    <div className={classes.empty}>
      <Icon name={props.icon} size={36} />
      {props.isPage ? (
        <h1 className={classes.emptyTitle}>{props.title}</h1>
      ) : (
        <p className={classes.emptyTitle}>{props.title}</p>
      )}
      {props.text === undefined ? null : <p className={classes.emptyText}>{props.text}</p>}
      {props.children}
    </div>
  )
}
