//! Graphs read by passing messages along their edges.

use candle_core::{DType, Device, Module, Result, Tensor, bail};
use candle_nn::VarBuilder;

use super::linear::Linear;

/// What the sum over the nodes of a graph is multiplied by, which makes it comparable to their mean.
const SUM_SCALE: f64 = 1.0 / 16.0;

/// Graphs of different sizes, side by side.
///
/// Each edge is there once in each direction.
#[derive(Debug, Clone)]
pub struct GraphBatch {
    /// `[nodes, node features]`
    nodes: Tensor,
    /// Of the node where each edge starts, and of the edge: `[edges, node features + edge features]`.
    edges: Tensor,
    /// Of each edge the node where it starts, the one where it ends, and the edge the other way.
    source: Tensor,
    target: Tensor,
    reverse: Tensor,
    /// The graph that each node is of.
    graph: Tensor,
    /// How many nodes each graph has, or one for an empty graph: `[graphs, 1]`.
    sizes: Tensor,
}

/// A graph to be read: of each node the columns in which it has a one, and of each edge its two nodes
/// and the columns in which it has a one.
pub type GraphColumns<'a, const N: usize, const E: usize> =
    (&'a [[u8; N]], &'a [([u32; 2], [u8; E])]);

impl GraphBatch {
    /// Puts graphs side by side whose nodes have `features.0` columns and whose edges `features.1`.
    ///
    /// # Errors
    ///
    /// An edge has a node that its graph lacks, or there is no such column.
    pub fn new<'a, const N: usize, const E: usize>(
        features: (usize, usize),
        graphs: impl IntoIterator<Item = GraphColumns<'a, N, E>>,
        dtype: DType,
        device: &Device,
    ) -> Result<Self> {
        let (node_features, edge_features) = features;
        let mut nodes = OneHotRows::new(node_features);
        let mut edges = OneHotRows::new(node_features + edge_features);
        let (mut source, mut target, mut reverse) = (Vec::new(), Vec::new(), Vec::new());
        let (mut graph, mut sizes) = (Vec::new(), Vec::new());
        for (graph_nodes, graph_edges) in graphs {
            let first = graph.len() as u32;
            for columns in graph_nodes {
                nodes.push(columns.iter().map(|&column| column.into()))?;
                graph.push(sizes.len() as u32);
            }
            sizes.push(graph_nodes.len().max(1) as u32);
            for &(ends, columns) in graph_edges {
                let pair = source.len() as u32;
                for ([start, end], back) in [(ends, pair + 1), ([ends[1], ends[0]], pair)] {
                    let Some(of_start) = graph_nodes.get(start as usize) else {
                        bail!(
                            "an edge of node {start} in a graph of {}",
                            graph_nodes.len()
                        )
                    };
                    let of_edge = columns
                        .iter()
                        .map(|&column| node_features + usize::from(column));
                    let of_start = of_start.iter().map(|&column| usize::from(column));
                    edges.push(of_start.chain(of_edge))?;
                    source.push(first + start);
                    target.push(first + end);
                    reverse.push(back);
                }
            }
        }
        let indices = |indices: Vec<u32>| {
            let count = indices.len();
            Tensor::from_vec(indices, count, device)
        };
        Ok(Self {
            nodes: nodes.tensor(dtype, device)?,
            edges: edges.tensor(dtype, device)?,
            source: indices(source)?,
            target: indices(target)?,
            reverse: indices(reverse)?,
            graph: indices(graph)?,
            sizes: indices(sizes)?.to_dtype(dtype)?.unsqueeze(1)?,
        })
    }

    /// Graphs.
    pub fn len(&self) -> usize {
        self.sizes.elem_count()
    }

    /// Whether there is no graph.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The sums of the rows of edges that end in each node: `[nodes, hidden]`.
    fn sum_into_nodes(&self, edges: &Tensor) -> Result<Tensor> {
        sum_rows(edges, &self.target, self.graph.elem_count())
    }

    /// For each edge the sum of the rows of edges that end where it starts, without the edge the other
    /// way: `[edges, hidden]`.
    fn messages(&self, edges: &Tensor) -> Result<Tensor> {
        let incoming = self.sum_into_nodes(edges)?.index_select(&self.source, 0)?;
        incoming - edges.index_select(&self.reverse, 0)?
    }
}

/// The sums of the rows that have each index: `[count, width]`.
fn sum_rows(rows: &Tensor, index: &Tensor, count: usize) -> Result<Tensor> {
    let (_, width) = rows.dims2()?;
    Tensor::zeros((count, width), rows.dtype(), rows.device())?.index_add(index, rows, 0)
}

/// Rows of zeros and a few ones.
struct OneHotRows {
    width: usize,
    elements: Vec<f32>,
}

impl OneHotRows {
    fn new(width: usize) -> Self {
        let elements = Vec::new();
        Self { width, elements }
    }

    fn push(&mut self, columns: impl Iterator<Item = usize>) -> Result<()> {
        let start = self.elements.len();
        self.elements.resize(start + self.width, 0.0);
        for column in columns {
            match self.elements[start..].get_mut(column) {
                Some(element) => *element = 1.0,
                None => bail!("column {column} of {}", self.width),
            }
        }
        Ok(())
    }

    fn tensor(self, dtype: DType, device: &Device) -> Result<Tensor> {
        let rows = self.elements.len() / self.width.max(1);
        Tensor::from_vec(self.elements, (rows, self.width), device)?.to_dtype(dtype)
    }
}

/// A network that reads graphs: messages are passed along directed edges, as in D-MPNN of Yang et al.,
/// "Analyzing Learned Molecular Representations for Property Prediction" (*J. Chem. Inf. Model.* 59,
/// 2019).
///
/// An edge from *v* to *w* starts as `h⁰ = relu(input(node v, edge))`. In each step it becomes
/// `relu(h⁰ + message(Σ h of the edges that end in v, without the one from w))`. A node is then
/// `relu(node(node v, Σ h of the edges that end in v))`, and a graph
/// `readout(mean of its nodes, sum of its nodes / 16)`: the mean alone would not tell its size.
///
/// What is computed for a graph on the CPU does not depend on the graphs beside it nor on the number of
/// threads, to the last bit. The order of its nodes and edges changes no more than rounding does.
#[derive(Debug, Clone)]
pub struct MessagePassing {
    input: Linear,
    message: Linear,
    node: Linear,
    readout: Linear,
    steps: usize,
}

impl MessagePassing {
    /// Takes the weights of `input`, `message`, `node` and `readout` from `vb`, for graphs whose nodes
    /// have `node_features` columns and whose edges `edge_features`.
    ///
    /// # Errors
    ///
    /// `vb` does not have the weights in these shapes.
    pub fn new(
        node_features: usize,
        edge_features: usize,
        hidden: usize,
        steps: usize,
        vb: VarBuilder,
    ) -> Result<Self> {
        let start = node_features + edge_features;
        Ok(Self {
            input: Linear::new(start, hidden, vb.pp("input"))?,
            message: Linear::new(hidden, hidden, vb.pp("message"))?,
            node: Linear::new(node_features + hidden, hidden, vb.pp("node"))?,
            readout: Linear::new(2 * hidden, hidden, vb.pp("readout"))?,
            steps,
        })
    }

    /// A row for each graph: `[graphs, hidden]`.
    ///
    /// # Errors
    ///
    /// The graphs have other features than the network.
    pub fn forward(&self, graphs: &GraphBatch) -> Result<Tensor> {
        let start = self.input.forward(&graphs.edges)?.relu()?;
        let mut edges = start.clone();
        for _ in 0..self.steps {
            let messages = self.message.forward(&graphs.messages(&edges)?)?;
            edges = (&start + messages)?.relu()?;
        }
        let incoming = graphs.sum_into_nodes(&edges)?;
        let nodes = Tensor::cat(&[&graphs.nodes, &incoming], 1)?;
        let nodes = self.node.forward(&nodes)?.relu()?;
        let sum = sum_rows(&nodes, &graphs.graph, graphs.len())?;
        let mean = sum.broadcast_div(&graphs.sizes)?;
        self.readout
            .forward(&Tensor::cat(&[mean, (sum * SUM_SCALE)?], 1)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::simd::InstructionSet;
    use atlas_core::nn::check_gradients;
    use candle_core::Var;
    use candle_nn::VarMap;
    use rand::seq::SliceRandom;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    const FEATURES: (usize, usize) = (7, 4);

    #[derive(Clone)]
    struct Graph {
        nodes: Vec<[u8; 2]>,
        edges: Vec<([u32; 2], [u8; 1])>,
    }

    /// A connected graph with a few rings.
    fn graph(seed: u64, nodes: u32) -> Graph {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        let mut edges = Vec::new();
        for node in 1..nodes {
            edges.push((
                [node, generator.random_range(0..node)],
                [generator.random_range(0..4)],
            ));
        }
        for _ in 0..nodes / 6 {
            let end = generator.random_range(2..nodes);
            edges.push((
                [generator.random_range(0..end - 1), end],
                [generator.random_range(0..4)],
            ));
        }
        let nodes = 0..nodes;
        let nodes = nodes.map(|_| [generator.random_range(0..4), generator.random_range(4..7)]);
        Graph {
            nodes: nodes.collect(),
            edges,
        }
    }

    /// The same graph with its nodes and edges in another order.
    fn permuted(graph: &Graph, seed: u64) -> Graph {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        let mut order: Vec<usize> = (0..graph.nodes.len()).collect();
        order.shuffle(&mut generator);
        let mut place = vec![0; order.len()];
        for (new, &old) in order.iter().enumerate() {
            place[old] = new as u32;
        }
        let mut edges = graph.edges.clone();
        for (ends, _) in &mut edges {
            *ends = ends.map(|end| place[end as usize]);
            if generator.random() {
                ends.reverse();
            }
        }
        edges.shuffle(&mut generator);
        let nodes = order.iter().map(|&old| graph.nodes[old]).collect();
        Graph { nodes, edges }
    }

    fn batch(graphs: &[Graph], dtype: DType) -> Result<GraphBatch> {
        let graphs = graphs.iter().map(|graph| (&*graph.nodes, &*graph.edges));
        GraphBatch::new(FEATURES, graphs, dtype, &Device::Cpu)
    }

    /// A network with seeded weights, and the weights by name.
    fn network(hidden: usize, dtype: DType) -> Result<(MessagePassing, Vec<(String, Var)>)> {
        let map = VarMap::new();
        let vb = VarBuilder::from_varmap(&map, dtype, &Device::Cpu);
        let network = MessagePassing::new(FEATURES.0, FEATURES.1, hidden, 3, vb)?;
        let weights = map.data().lock().unwrap().clone();
        let mut weights: Vec<_> = weights.into_iter().collect();
        weights.sort_by(|left, right| left.0.cmp(&right.0));
        let mut generator = ChaCha8Rng::seed_from_u64(3);
        for (_, weight) in &weights {
            let values = (0..weight.elem_count()).map(|_| generator.random_range(-0.5..0.5));
            let values = Tensor::from_iter(values.collect::<Vec<f64>>(), &Device::Cpu)?;
            weight.set(&values.reshape(weight.shape())?.to_dtype(dtype)?)?;
        }
        Ok((network, weights))
    }

    #[test]
    fn gradients_of_all_weights_are_those_of_finite_differences() -> Result<()> {
        let (network, weights) = network(5, DType::F64)?;
        let graphs = batch(&[graph(1, 7), graph(2, 1), graph(3, 12)], DType::F64)?;
        let weights: Vec<_> = weights.iter().map(|(name, var)| (&**name, var)).collect();
        assert_eq!(weights.len(), 8);
        check_gradients(&weights, || network.forward(&graphs)?.sqr()?.sum_all())
    }

    #[test]
    fn it_is_what_the_equations_say() -> Result<()> {
        let (network, _) = network(4, DType::F64)?;
        let Graph { nodes, edges } = graph(5, 9);
        let hot = |width: usize, columns: &[u8]| {
            let mut row = vec![0.0; width];
            columns
                .iter()
                .for_each(|&column| row[usize::from(column)] = 1.0);
            row
        };
        let affine = |layer: &Linear, x: &[f64]| -> Result<Vec<f64>> {
            let x = Tensor::new(x, &Device::Cpu)?.unsqueeze(0)?;
            layer.forward(&x)?.squeeze(0)?.to_vec1()
        };
        let relu = |row: Vec<f64>| row.into_iter().map(|x| x.max(0.0)).collect::<Vec<_>>();
        let add = |left: &mut [f64], right: &[f64]| {
            left.iter_mut()
                .zip(right)
                .for_each(|(left, right)| *left += right);
        };
        let mut directed = Vec::new();
        for ([v, w], columns) in edges {
            directed.extend([(v, w, columns), (w, v, columns)]);
        }
        let start = directed.iter().map(|&(v, _, columns)| {
            let mut x = hot(FEATURES.0, &nodes[v as usize]);
            x.extend(hot(FEATURES.1, &columns));
            Ok(relu(affine(&network.input, &x)?))
        });
        let start = start.collect::<Result<Vec<_>>>()?;
        let mut hidden = start.clone();
        for _ in 0..3 {
            let next = directed.iter().zip(&start).map(|(&(v, w, _), start)| {
                let mut message = vec![0.0; 4];
                for (&(k, end, _), hidden) in directed.iter().zip(&hidden) {
                    if end == v && k != w {
                        add(&mut message, hidden);
                    }
                }
                let mut row = affine(&network.message, &message)?;
                add(&mut row, start);
                Ok(relu(row))
            });
            hidden = next.collect::<Result<Vec<_>>>()?;
        }
        let mut sum = vec![0.0; 4];
        for (v, columns) in nodes.iter().enumerate() {
            let mut x = hot(FEATURES.0, columns);
            let mut incoming = vec![0.0; 4];
            for (&(_, end, _), hidden) in directed.iter().zip(&hidden) {
                if end as usize == v {
                    add(&mut incoming, hidden);
                }
            }
            x.extend(incoming);
            add(&mut sum, &relu(affine(&network.node, &x)?));
        }
        let mean = sum.iter().map(|x| x / nodes.len() as f64);
        let x: Vec<f64> = mean.chain(sum.iter().map(|x| x / 16.0)).collect();
        let expected = affine(&network.readout, &x)?;

        let got = network.forward(&batch(&[graph(5, 9)], DType::F64)?)?;
        for (got, expected) in got.squeeze(0)?.to_vec1::<f64>()?.iter().zip(expected) {
            assert!((got - expected).abs() < 1e-12, "{got} {expected}");
        }
        Ok(())
    }

    #[test]
    fn a_graph_does_not_depend_on_the_graphs_beside_it() -> Result<()> {
        InstructionSet::each(|| {
            let (network, _) = network(33, DType::F32)?;
            let graphs: Vec<Graph> = (0..40).map(|seed| graph(seed, 1 + seed as u32)).collect();
            let together = network.forward(&batch(&graphs, DType::F32)?)?;
            let together = together.to_vec2::<f32>()?;
            for (graph, row) in graphs.iter().zip(&together) {
                let alone = network.forward(&batch(std::slice::from_ref(graph), DType::F32)?)?;
                assert_eq!(&alone.to_vec2::<f32>()?[0], row);
            }
            Ok(())
        })
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bits() -> Result<()> {
        let graphs: Vec<Graph> = (0..64).map(|seed| graph(seed, 25)).collect();
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| -> Result<_> {
                let (network, weights) = network(40, DType::F32)?;
                let output = network.forward(&batch(&graphs, DType::F32)?)?;
                let gradients = output.sqr()?.sum_all()?.backward()?;
                let mut all = output.flatten_all()?.to_vec1::<f32>()?;
                for (_, weight) in &weights {
                    let gradient = gradients.get(weight).unwrap();
                    all.extend(gradient.flatten_all()?.to_vec1::<f32>()?);
                }
                Ok(all)
            })
        };
        let one = run(1)?;
        for threads in 2..=4 {
            assert_eq!(run(threads)?, one, "{threads} threads");
        }
        Ok(())
    }

    #[test]
    fn the_order_of_nodes_and_edges_means_nothing() -> Result<()> {
        let (network, _) = network(32, DType::F32)?;
        for seed in 0..30 {
            let graph = graph(seed, 24);
            let both = [permuted(&graph, seed + 100), graph];
            let rows = network
                .forward(&batch(&both, DType::F32)?)?
                .to_vec2::<f32>()?;
            let largest = rows[1].iter().fold(0f32, |largest, x| largest.max(x.abs()));
            for (left, right) in rows[0].iter().zip(&rows[1]) {
                assert!((left - right).abs() <= 1e-5 * largest, "{left} {right}");
            }
        }
        Ok(())
    }

    #[test]
    fn copies_of_a_graph_side_by_side_in_one_are_told_from_one() -> Result<()> {
        let (network, _) = network(8, DType::F32)?;
        let one = graph(4, 6);
        let mut two = one.clone();
        two.nodes.extend(&one.nodes);
        let copies = one.edges.iter();
        two.edges
            .extend(copies.map(|&(ends, columns)| (ends.map(|end| end + 6), columns)));
        let rows = network.forward(&batch(&[one, two], DType::F32)?)?;
        let rows = rows.to_vec2::<f32>()?;
        assert_ne!(rows[0], rows[1]);
        Ok(())
    }

    #[test]
    fn there_may_be_no_edge_no_node_and_no_graph() -> Result<()> {
        let (network, weights) = network(6, DType::F32)?;
        for graphs in [vec![graph(1, 1)], vec![graph(1, 0)], vec![]] {
            let output = network.forward(&batch(&graphs, DType::F32)?)?;
            assert_eq!(output.dims(), [graphs.len(), 6]);
            let gradients = output.sum_all()?.backward()?;
            let (_, node) = weights
                .iter()
                .find(|(name, _)| name == "node.weight")
                .unwrap();
            let gradient = gradients
                .get(node)
                .unwrap()
                .flatten_all()?
                .to_vec1::<f32>()?;
            assert!(gradient.iter().all(|x| x.is_finite()));
        }
        Ok(())
    }

    #[test]
    fn edges_of_nodes_that_are_not_there_and_columns_that_are_not_are_refused() {
        let one = |edge, column| {
            let graph = Graph {
                nodes: vec![[0, 4]],
                edges: vec![(edge, [column])],
            };
            batch(&[graph], DType::F32).unwrap_err().to_string()
        };
        assert!(one([0, 1], 0).contains("an edge of node 1 in a graph of 1"));
        assert!(one([0, 0], 4).contains("column 11 of 11"));
    }
}
